"""Where runs are kept: the project's own SQLite store, or a tracking server."""

import logging
import os
from pathlib import Path

from filelock import FileLock

from alexnet_exp.errors import UserError, WeightsError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is away: an error in seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
import mlflow
from mlflow.exceptions import MlflowException

MLRUNS = Path(__file__).resolve().parents[2] / "mlruns"
SQLITE = "sqlite:///"
MODEL = "model"  # the name under which a run's model is logged


def use_store(uri: str | None) -> str:
    """Makes MLflow use a store, without opening it; None is `mlruns/mlflow.db`. Returns its address."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = uri or f"{SQLITE}{MLRUNS / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    return uri


def open_store(uri: str | None, experiment: str) -> str:
    """Makes MLflow use a store, creating and migrating the project's own one under a lock.

    Args:
      uri: of a tracking server or a database; None is `mlruns/mlflow.db`.
      experiment: is created where it does not exist.

    Returns:
      The experiment's id.
    """
    uri = use_store(uri)
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
                f"tracking.uri: expected a store that answers. Received: {mlflow.get_tracking_uri()} ({short(error)})"
            ) from None


def download_weights(run_id: str, folder: Path) -> Path:
    """Copies the network of a finished run into `folder`.

    Raises:
      WeightsError: when the store has no such run, or the run has no model.
    """
    try:
        model = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{MODEL}", dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise WeightsError(
            f"weights.run_id: expected the id of a run with a model in {mlflow.get_tracking_uri()}. "
            f"Received: {run_id} ({short(error)})"
        ) from None
    if not (files := list(Path(model).rglob("network.keras"))):
        raise WeightsError(f"weights.run_id: expected a run with a network. Received: {run_id}, a model without one")
    return files[0]


def short(error: Exception) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
