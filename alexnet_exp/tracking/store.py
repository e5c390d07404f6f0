"""Where runs are kept: the project's own SQLite store, or a tracking server."""

import logging
import os
from pathlib import Path

from filelock import FileLock

from alexnet_exp.errors import UserError, WeightsError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
import mlflow
from mlflow.exceptions import MlflowException

MLRUNS = Path(__file__).resolve().parents[2] / "mlruns"
MODEL = "model"  # the name under which a run's model is logged


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
    mlflow.set_tracking_uri(uri or f"sqlite:///{MLRUNS / 'mlflow.db'}")
    MLRUNS.mkdir(exist_ok=True)
    with FileLock(MLRUNS / ".mlflow.lock"):
        try:
            if found := mlflow.get_experiment_by_name(experiment):
                return found.experiment_id
            artifacts = None if uri else (MLRUNS / "artifacts" / experiment).as_uri()
            return mlflow.create_experiment(experiment, artifact_location=artifacts)
        except MlflowException as error:
            raise UserError(f"tracking.uri: expected a store that answers. Received: {uri} ({error})") from None


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
            f"Received: {run_id} ({str(error).splitlines()[0]})"
        ) from None
    return next(Path(model).rglob("network.keras"))
