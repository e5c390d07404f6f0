"""What happens in a run, written down for MLflow."""

import errno
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import yaml
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

import alexnet_exp
from alexnet_exp.checksums import file_sha256
from alexnet_exp.tracking.delivery import MOST, Sender
from alexnet_exp.tracking.journal import Journal, now
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256, store_in_use

if TYPE_CHECKING:  # keeping a run needs no TensorFlow
    from alexnet_exp.evaluation.metrics import Report
    from alexnet_exp.strategy import Fitted

REQUIREMENTS = [
    "tensorflow", "keras", "scikit-learn", "numpy", "pillow", "pydantic", "safetensors", "skops", "filelock", "rich",
]  # fmt: skip
VALUE_LENGTH = 6000  # of a parameter; MLflow refuses more


class Tracker:
    """Writes down what happens in a run; a `Sender` takes it to MLflow.

    What the journal of a resumed run has already is not written again: each step of a metric is there once.
    """

    def __init__(self, journal: Journal, client: MlflowClient):
        self.journal, self.run_id, self.checkpoints = journal, journal.run_id, journal.checkpoints
        records = journal.records()
        self._resumed = sum(record.get("status") == "RUNNING" for record in records)
        self._logged = {
            (name, record["step"]) for record in records if record["kind"] == "metrics" for name in record["values"]
        }
        if not records:
            journal.append("store", uri=store_in_use())
        self._sender = Sender(journal, client)

    def resume(self, **tags: Any) -> None:
        """Says that the run goes on."""
        self._append("status", status="RUNNING", timestamp=now())
        self.tag(resumed=self._resumed + 1, **tags)

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
        values = {name: float(value) for name, value in metrics.items() if (name, step) not in self._logged}
        if values:
            self._append("metrics", values=values, step=step, timestamp=now())

    def log_summary(self, metrics: dict[str, float]) -> None:
        self.log_epoch(0, metrics)

    def log_report(self, report: "Report", step: int) -> None:
        """Logs test metrics and per-example predictions.

        Args:
          report: of the test images.
          step: 0, or after the last epoch where test accuracy was read after each: these are the latest.
        """
        self.log_epoch(step, {f"test/{name}": value for name, value in report.metrics.items()})
        path = "predictions/test.parquet"
        report.predictions.to_parquet(self._file(path))
        self._append("artifact", path=path)
        self.log_text("classification_report.json", json.dumps(report.per_class, indent=2))

    def log_images(self, images: dict[str, bytes]) -> None:
        """Logs PNG images, by their paths among the artifacts."""
        for path, image in images.items():
            self._file(path).write_bytes(image)
            self._append("artifact", path=path)

    def log_model(self, fitted: "Fitted") -> None:
        """Logs the classifier as an MLflow model: from raw images to the probabilities of the classes."""
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(object), (-1,))]),  # pixels, or files in base64: see serving.py
            outputs=Schema([ColSpec("float", name) for name in fitted.class_names]),
        )
        folder = self.journal.folder / MODEL
        shutil.rmtree(folder, ignore_errors=True)  # MLflow wants to make it
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(), _full_disk_has_its_number():
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

    def end(self, status: str, log: str) -> None:
        """Keeps the log and the status: the last that a run does."""
        self._append("artifact", path=log)
        self._append("status", status=status, timestamp=now())

    def close(self, seconds: float) -> Exception | None:
        """Delivers the rest, as `Sender.close` does."""
        return self._sender.close(seconds)

    def _append(self, kind: str, **content: Any) -> None:
        self.journal.append(kind, **content)
        self._sender.notify()

    def _file(self, path: str) -> Path:
        file = self.journal.artifacts / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@contextmanager
def _full_disk_has_its_number() -> Iterator[None]:
    """The error of copying a folder tells in words alone what its files met."""
    try:
        yield
    except shutil.Error as error:
        if (full := os.strerror(errno.ENOSPC)) not in str(error):
            raise
        raise OSError(errno.ENOSPC, full, error.args[0][0][1]) from error
