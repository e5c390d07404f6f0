"""Where runs are kept: the project's own SQLite store, or a tracking server."""

import logging
import os
from pathlib import Path

from filelock import FileLock

from alexnet_exp.checksums import file_sha256, read_sealed
from alexnet_exp.errors import UserError, WeightsError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is away: an error in seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

MLRUNS = Path(__file__).resolve().parents[2] / "mlruns"
SQLITE = "sqlite:///"
MODEL = "model"  # the name under which a run's model is logged
MODEL_SHA256 = "model_sha256"  # the tag with the checksum of its settings, which hold those of its other files


def open_store(uri: str | None, experiment: str) -> str:
    """Makes MLflow use a store, creating and migrating the project's own one under a lock.

    Args:
      uri: of a tracking server or a database; None is `mlruns/mlflow.db`.
      experiment: is created where it does not exist.

    Returns:
      The experiment's id.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = uri or f"{SQLITE}{MLRUNS / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    MLRUNS.mkdir(exist_ok=True)
    with FileLock(MLRUNS / ".mlflow.lock"):
        try:
            if found := mlflow.get_experiment_by_name(experiment):
                if found.lifecycle_stage != "active":
                    raise UserError(f"tracking.experiment: expected one that is not deleted. Received: {experiment}")
                return found.experiment_id
            folder = Path(uri.removeprefix(SQLITE)).absolute().parent / "artifacts" / experiment
            artifacts = folder.as_uri() if uri.startswith(SQLITE) else None  # a server knows its own place
            return mlflow.create_experiment(experiment, artifact_location=artifacts)
        except MlflowException as error:
            raise UserError(
                f"tracking.uri: expected a store that answers. Received: {mlflow.get_tracking_uri()} ({_short(error)})"
            ) from None


def download_weights(run_id: str, folder: Path) -> Path:
    """Copies the network of a finished run into `folder`.

    Raises:
      WeightsError: when the store has no such run, or the run has no model or another one than it recorded.
    """
    return download_model(run_id, folder) / "network.keras"


def download_model(run_id: str, folder: Path) -> Path:
    """Copies what `Fitted.save` wrote into `folder`, and compares it with the checksums that the run recorded.

    Returns:
      The folder of the copy, for `load_fitted`.

    Raises:
      WeightsError: when the store has no such run, or the run has no model or another one than it recorded.
    """
    try:
        recorded = mlflow.get_run(run_id).data.tags.get(MODEL_SHA256)
        model = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{MODEL}", dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise WeightsError(
            f"weights.run_id: expected the id of a run with a model in {mlflow.get_tracking_uri()}. "
            f"Received: {run_id} ({_short(error)})"
        ) from None
    if not (found := list(Path(model).rglob("fitted.json"))):
        raise WeightsError(f"weights.run_id: expected a run with a network. Received: {run_id}, a model without one")
    if recorded != (received := file_sha256(found[0])):
        raise WeightsError(
            f"weights.run_id: expected fitted.json with the SHA-256 that run {run_id} recorded as {MODEL_SHA256}, "
            f"{recorded or 'none'}. Received: {received}"
        )
    read_sealed(found[0])
    return found[0].parent


def finished_runs(uri: str | None, experiment: str, study: str) -> pd.DataFrame:
    """The FINISHED runs of a study: a row for each, with `run_id`, tags and metrics by their names."""
    experiment_id = open_store(uri, experiment)
    query = f"attributes.status = 'FINISHED' and tags.study = '{study}'"
    runs = mlflow.search_runs([experiment_id], query, output_format="list", max_results=50_000)
    return pd.DataFrame([{"run_id": run.info.run_id} | run.data.tags | run.data.metrics for run in runs])


def _short(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
