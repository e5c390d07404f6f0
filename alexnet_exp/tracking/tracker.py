"""One MLflow run: opened, filled, and ended with an honest status."""

import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import alexnet_exp
from alexnet_exp.checksums import file_sha256
from alexnet_exp.config import RunConfig, to_dict
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.config.schema import RunWeights
from alexnet_exp.evaluation.metrics import Report
from alexnet_exp.strategy import Fitted
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256

SCENARIOS = {
    "scratch": "training from scratch",
    "finetune": "layer-wise fine-tuning",
    "features_svm": "feature extraction",
    "features_mlp": "feature extraction",
}
REQUIREMENTS = ["tensorflow", "keras", "scikit-learn", "numpy", "pillow", "pydantic", "skops", "filelock", "rich"]
NONE = "none"  # the value of a tag that has none: MLflow filters by tags that are there
PARAMS_A_CALL = 100  # MLflow takes no more
PARAM_LENGTH = 6000


class Tracker:
    """Writes to the active MLflow run."""

    def __init__(self, run_id: str):
        self.run_id = run_id

    def tag(self, **tags: Any) -> None:
        mlflow.set_tags({name: str(value) for name, value in tags.items()})

    def log_yaml(self, path: str, content: dict[str, Any]) -> None:
        mlflow.log_text(yaml.safe_dump(content, sort_keys=False), path)

    def log_epoch(self, step: int, metrics: dict[str, float]) -> None:
        mlflow.log_metrics(metrics, step=step)

    def log_summary(self, metrics: dict[str, float]) -> None:
        mlflow.log_metrics(metrics)

    def log_report(self, report: Report, figures: dict[str, Figure]) -> None:
        """Logs test metrics, figures and per-example predictions.

        Args:
          report: of the test images.
          figures: by name; each becomes `figures/<name>.png`.
        """
        mlflow.log_metrics({f"test/{name}": value for name, value in report.metrics.items()})
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "figures").mkdir()
            (folder / "predictions").mkdir()
            for title, figure in figures.items():
                figure.savefig(folder / "figures" / f"{title}.png", dpi=120)
            report.predictions.to_parquet(folder / "predictions" / "test.parquet")
            (folder / "classification_report.json").write_text(json.dumps(report.per_class, indent=2))
            mlflow.log_artifacts(str(folder))

    def log_model(self, fitted: Fitted) -> None:
        """Logs the classifier as an MLflow model that takes raw uint8 images."""
        size = fitted.load_size
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, size, size, 3))]),
            outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, len(fitted.class_names)))]),
        )
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
            fitted.save(Path(name) / "fitted")
            self.tag(**{MODEL_SHA256: file_sha256(Path(name) / "fitted" / "fitted.json")})
            mlflow.pyfunc.log_model(
                name=MODEL,
                loader_module="alexnet_exp.serving",
                data_path=str(Path(name) / "fitted"),
                code_paths=[str(Path(alexnet_exp.__file__).parent)],
                signature=signature,
                pip_requirements=[f"{package}=={version(package)}" for package in REQUIREMENTS],
            )


@contextmanager
def tracked_run(config: RunConfig, experiment_id: str, overrides: list[str]) -> Iterator[Tracker]:
    """Opens a run and ends it FINISHED, FAILED (an exception) or KILLED (interrupted); its log is kept in any case."""
    name = config.run.name or f"{config.strategy.name}-{config.dataset.name}-seed{config.seed}"
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "run.log"
        handler = logging.FileHandler(log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("alexnet_exp")
        logger.addHandler(handler)
        status = "KILLED"
        try:
            run = mlflow.start_run(experiment_id=experiment_id, run_name=name, tags=_tags(config))
            _log_config(config, overrides)
            yield Tracker(run.info.run_id)
            status = "FINISHED"
        except Exception as error:
            status = "FAILED"
            record = logger.makeRecord(__name__, logging.ERROR, __file__, 0, "the run failed", (), sys.exc_info())
            handler.emit(record)
            mlflow.set_tag("error", f"{type(error).__name__}: {error}"[:PARAM_LENGTH])
            raise
        finally:
            logger.removeHandler(handler)
            handler.close()
            try:
                mlflow.log_artifact(str(log_file))
            finally:
                mlflow.end_run(status)


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
    return tags | _git_state()


def _git_state() -> dict[str, str]:
    def git(*arguments: str) -> str:
        folder = Path(alexnet_exp.__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": str(bool(git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        return {"git_commit": NONE, "git_dirty": NONE}


def _log_config(config: RunConfig, overrides: list[str]) -> None:
    params = [(name, str(value)[:PARAM_LENGTH]) for name, value in flatten(science(config)).items()]
    for start in range(0, len(params), PARAMS_A_CALL):
        mlflow.log_params(dict(params[start : start + PARAMS_A_CALL]))
    settings = to_dict(config)
    settings["tracking"]["uri"] = None  # it may hold a password
    mlflow.log_text(yaml.safe_dump(settings, sort_keys=False), "config/config.yaml")
    mlflow.log_text(yaml.safe_dump(overrides), "config/overrides.yaml")
    mlflow.log_text(" ".join(sys.argv), "config/command.txt")
