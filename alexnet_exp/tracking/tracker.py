"""One MLflow run: opened, filled, and ended with an honest status."""

import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types import ColSpec, Schema, TensorSpec

import alexnet_exp
from alexnet_exp.checksums import file_sha256
from alexnet_exp.config import RunConfig, to_dict
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.config.schema import RunWeights
from alexnet_exp.errors import TrackingError
from alexnet_exp.tracking.delivery import MOST, Sender, remove_finished
from alexnet_exp.tracking.journal import Journal, now
from alexnet_exp.tracking.note import NOTE, note
from alexnet_exp.tracking.provenance import CONFIG, NONE, OVERRIDES, PACKAGES, code_tags, packages
from alexnet_exp.tracking.reach import without_credentials
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256, short

if TYPE_CHECKING:  # keeping a run needs no TensorFlow
    from matplotlib.figure import Figure

    from alexnet_exp.evaluation.metrics import Report
    from alexnet_exp.strategy import Fitted

log = logging.getLogger(__name__)

SCENARIOS = {
    "scratch": "training from scratch",
    "finetune": "layer-wise fine-tuning",
    "features_svm": "feature extraction",
    "features_mlp": "feature extraction",
}
REQUIREMENTS = ["tensorflow", "keras", "scikit-learn", "numpy", "pillow", "pydantic", "skops", "filelock", "rich"]
VALUE_LENGTH = 6000  # of a parameter; MLflow refuses more
RUN_LOG = "run.log"
UNDELIVERED = (
    "run %s is complete in %s, but its store does not answer (%s); when it does: python scripts/runs.py sync --state %s"
)


class Tracker:
    """Writes down what happens in a run; a `Sender` takes it to MLflow."""

    def __init__(self, journal: Journal, sender: Sender):
        self._journal, self._sender = journal, sender
        self.run_id = journal.run_id

    def tag(self, **tags: Any) -> None:
        self._append("tags", values={name: str(value)[:VALUE_LENGTH] for name, value in tags.items()})

    def log_params(self, params: dict[str, Any]) -> None:
        values = [(name, str(value)[:VALUE_LENGTH]) for name, value in params.items()]
        for start in range(0, len(values), MOST["params"]):
            self._append("params", values=dict(values[start : start + MOST["params"]]))

    def log_text(self, path: str, text: str) -> None:
        self._file(path).write_text(text)
        self._append("artifact", path=path)

    def log_yaml(self, path: str, content: Any) -> None:
        self.log_text(path, yaml.safe_dump(content, sort_keys=False))

    def log_epoch(self, step: int, metrics: dict[str, float]) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        self._append("metrics", values=values, step=step, timestamp=now())

    def log_summary(self, metrics: dict[str, float]) -> None:
        self.log_epoch(0, metrics)

    def log_report(self, report: "Report", figures: "dict[str, Figure]") -> None:
        """Logs test metrics, figures and per-example predictions.

        Args:
          report: of the test images.
          figures: by name; each becomes `figures/<name>.png`.
        """
        self.log_summary({f"test/{name}": value for name, value in report.metrics.items()})
        for title, figure in figures.items():
            path = f"figures/{title}.png"
            figure.savefig(self._file(path), dpi=120)
            self._append("artifact", path=path)
        path = "predictions/test.parquet"
        report.predictions.to_parquet(self._file(path))
        self._append("artifact", path=path)
        self.log_text("classification_report.json", json.dumps(report.per_class, indent=2))

    def log_model(self, fitted: "Fitted") -> None:
        """Logs the classifier as an MLflow model: from raw images to the probabilities of the classes."""
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(object), (-1,))]),  # pixels, or files in base64: see serving.py
            outputs=Schema([ColSpec("float", name) for name in fitted.class_names]),
        )
        folder = self._journal.folder / MODEL
        shutil.rmtree(folder, ignore_errors=True)  # MLflow wants to make it
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
            fitted.save(Path(name) / "fitted")
            self.tag(**{MODEL_SHA256: file_sha256(Path(name) / "fitted" / "fitted.json")})
            mlflow.pyfunc.save_model(
                path=str(folder),
                loader_module="alexnet_exp.tracking.serving",
                data_path=str(Path(name) / "fitted"),
                code_paths=[str(Path(alexnet_exp.__file__).parent)],
                signature=signature,
                metadata={"image_size": fitted.load_size},
                pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
            )
        self._append("model", path=MODEL)

    def end(self, status: str) -> None:
        """Keeps the log and the status: the last that a run does."""
        self._append("artifact", path=RUN_LOG)
        self._append("status", status=status, timestamp=now())

    def _append(self, kind: str, **content: Any) -> None:
        self._journal.append(kind, **content)
        self._sender.notify()

    def _file(self, path: str) -> Path:
        file = self._journal.artifacts / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@contextmanager
def tracked_run(config: RunConfig, experiment_id: str, overrides: list[str]) -> Iterator[Tracker]:
    """Opens a run and ends it FINISHED, FAILED (an exception) or KILLED (interrupted); its log is kept in any case.

    From here on the store may go away: what it misses is delivered when it is back, or by `scripts/runs.py sync`.
    """
    client, state = MlflowClient(), _state_folder(config)
    journal = Journal(state / _new_run(client, config, experiment_id))
    with journal.held():
        journal.append("store", uri=without_credentials(mlflow.get_tracking_uri()))
        sender = Sender(journal, client)
        tracker = Tracker(journal, sender)
        status, error = "KILLED", None
        try:
            with _logged_to(journal.artifacts / RUN_LOG):
                _log_config(tracker, config, overrides)
                yield tracker
            status = "FINISHED"
        except Exception as exception:
            status, error = "FAILED", f"{type(exception).__name__}: {exception}"
            raise
        finally:
            _end(tracker, client, status, error)
            if problem := sender.close(config.tracking.flush_seconds):
                log.warning(UNDELIVERED, journal.run_id, journal.folder, short(problem), state)
            else:
                remove_finished(journal)


def _state_folder(config: RunConfig) -> Path:
    folder = Path(config.paths.state).absolute()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise TrackingError(f"paths.state: expected a folder that can be written. Received: {folder}")
    return folder


def _new_run(client: MlflowClient, config: RunConfig, experiment_id: str) -> str:
    name = config.run.name or f"{config.strategy.name}-{config.dataset.name}-seed{config.seed}"
    try:
        run_id: str = client.create_run(experiment_id, run_name=name, tags=resolve_tags(_tags(config))).info.run_id
    except MlflowException as error:
        store = without_credentials(mlflow.get_tracking_uri())
        raise TrackingError(
            f"tracking.uri: expected a store that takes a new run. Received: {store} ({short(error)})"
        ) from None
    return run_id


def _end(tracker: Tracker, client: MlflowClient, status: str, error: str | None) -> None:
    try:
        if error:
            tracker.tag(error=error)
        tracker.end(status)
    except OSError as full:  # no room for the journal: the store is told without it
        log.warning("the journal cannot be written (%s)", short(full))
        with suppress(MlflowException):
            client.set_tag(tracker.run_id, "error", error or short(full))
            client.set_terminated(tracker.run_id, status)


@contextmanager
def _logged_to(file: Path) -> Iterator[None]:
    """Writes the package's log to a file, and the traceback of what ends it."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("alexnet_exp")
    logger.addHandler(handler)
    try:
        yield
    except Exception:
        record = logger.makeRecord(__name__, logging.ERROR, __file__, 0, "the run failed", (), sys.exc_info())
        handler.emit(record)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def _tags(config: RunConfig) -> dict[str, str]:
    tags = {
        "scenario": SCENARIOS[config.strategy.name],
        "strategy": config.strategy.name,
        "dataset": config.dataset.name,
        "model": config.model.name,
        "weights": config.weights.name,
        "seed": str(config.seed),
        "study": config.run.study or NONE,
        "arm": config.run.arm or NONE,
    }
    if isinstance(config.weights, RunWeights):
        tags["weights_run_id"] = config.weights.run_id
    return tags | code_tags()


def _log_config(tracker: Tracker, config: RunConfig, overrides: list[str]) -> None:
    tracker.log_params(flatten(science(config)))
    settings = to_dict(config)
    settings["tracking"]["uri"] = None  # it may hold a password
    tracker.log_yaml(CONFIG, settings)
    tracker.log_yaml(OVERRIDES, overrides)
    tracker.log_yaml(PACKAGES, packages())
    tracker.tag(**{NOTE: note(config, tracker.run_id)})
    tracker.log_text("config/command.txt", " ".join(sys.argv))
