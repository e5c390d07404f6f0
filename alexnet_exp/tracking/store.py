"""Where runs are kept: the project's own SQLite store, or a tracking server."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from alexnet_exp.errors import TrackingError
from alexnet_exp.tracking.reach import check_reachable, without_credentials

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # several lines for a small file
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is away: an error in seconds
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
import mlflow
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

MLRUNS = Path(__file__).resolve().parents[2] / "mlruns"
SQLITE = "sqlite:///"
MODEL = "model"  # the name under which a run's model is logged
START_LOCK = 0x616C6578  # any number that other users of a PostgreSQL server do not take
LEVELS = {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    "mlflow.tracking._model_registry": logging.ERROR,  # it warns that a model is not among the artifacts of its run
    "urllib3": logging.ERROR,
}
MODEL_SHA256 = "model_sha256"  # the tag with the checksum of its settings, which hold those of its other files


def open_store(uri: str | None, experiment: str) -> str:
    """Makes MLflow use a store, creating and migrating a database once, whoever else starts at the same moment.

    Args:
      uri: of a tracking server or a database; None is `mlruns/mlflow.db`.
      experiment: is created where it does not exist.

    Returns:
      The experiment's id.

    Raises:
      TrackingError: when the store does not answer, within seconds, or the experiment is deleted.
    """
    check_reachable(uri)
    uri = use_store(uri)
    try:
        with _alone(uri):
            return _experiment_id(uri, experiment)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError, OSError) as error:
        store = without_credentials(uri)
        raise TrackingError(
            f"tracking.uri: expected a store that answers. Received: {store} ({short(error)})"
        ) from None


def use_store(uri: str | None) -> str:
    """Makes MLflow use a store, and returns its full URI."""
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    uri = full_uri(uri)
    mlflow.set_tracking_uri(uri)
    return uri


def store_in_use() -> str:
    """The URI of MLflow's store, as a person may see it."""
    return without_credentials(mlflow.get_tracking_uri())


def full_uri(uri: str | None) -> str:
    """The URI of a store, `mlruns/mlflow.db` for None; that of a file names it from whatever folder it is used."""
    uri = uri or f"{SQLITE}{MLRUNS / 'mlflow.db'}"
    return f"{SQLITE}{Path(uri.removeprefix(SQLITE)).resolve()}" if uri.startswith(SQLITE) else uri


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Holds other processes off while a database is created: MLflow's migrations do not bear company."""
    if uri.startswith(SQLITE):
        file = Path(uri.removeprefix(SQLITE))
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock")):
            yield
    elif uri.startswith("postgresql"):  # processes on several machines
        engine = sqlalchemy.create_engine(uri, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.pool.NullPool)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({START_LOCK})"))
            yield
    else:
        yield


def _experiment_id(uri: str, experiment: str) -> str:
    found = mlflow.get_experiment_by_name(experiment)
    if not found:
        folder = Path(uri.removeprefix(SQLITE)).parent / "artifacts" / experiment
        artifacts = folder.as_uri() if uri.startswith(SQLITE) else None  # a server knows its own place
        try:
            return mlflow.create_experiment(experiment, artifact_location=artifacts)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            found = mlflow.get_experiment_by_name(experiment)  # another process of a server was quicker
    if found.lifecycle_stage != "active":
        raise TrackingError(f"tracking.experiment: expected one that is not deleted. Received: {experiment}")
    return found.experiment_id


def short(error: Exception) -> str:
    """The first line of a message."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
