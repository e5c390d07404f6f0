"""One experiment, from its configuration to its report."""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from alexnet_exp.config import RunConfig, to_dict
from alexnet_exp.config.fingerprint import fingerprint
from alexnet_exp.config.schema import FileWeights, RunWeights
from alexnet_exp.console import RESULT
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.download import fetch
from alexnet_exp.evaluation.figures.of_run import run_figures
from alexnet_exp.evaluation.metrics import evaluate
from alexnet_exp.model.weights import Pretrained, adapt_model, read_weights
from alexnet_exp.strategy import STRATEGIES
from alexnet_exp.tracking.journal import PRUNED
from alexnet_exp.tracking.lifecycle import Finished, TrackedRun
from alexnet_exp.tracking.query import check_weights, download_weights
from alexnet_exp.tracking.store import open_store
from alexnet_exp.tracking.tracker import Tracker
from alexnet_exp.training.activation_store import activation_store
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.devices import choose_devices
from alexnet_exp.training.fit import Metrics, OnEpoch
from alexnet_exp.training.precision import choose_precision
from alexnet_exp.training.tensorboard import tensorboard_log

log = logging.getLogger(__name__)
VAL_ACCURACY = "val/final_accuracy"  # of the weights that were kept; val/accuracy is that of an epoch


@dataclass(frozen=True)
class RunResult:
    """The id of the MLflow run, its metrics on the test images, and the accuracy on val that models are selected by."""

    run_id: str
    metrics: dict[str, float]
    val_accuracy: float


class Pruned(BaseException):
    """A trial stops early, because others are better: no error, and no result to compare, so its run is KILLED."""

    def __init__(self, val_accuracy: float):
        super().__init__(val_accuracy)
        self.val_accuracy = val_accuracy


def run(config: RunConfig, overrides: list[str], is_hopeless: Callable[[int, float], bool] | None = None) -> RunResult:
    """Runs one experiment and leaves a complete MLflow run.

    Args:
      config: the experiment.
      overrides: what the user changed, for the record.
      is_hopeless: is asked after each epoch, with its number and the accuracy on val, whether to stop.

    Raises:
      Pruned: when `is_hopeless` says so.
      UserError: when data or weights are not what the configuration says; the MLflow run is FAILED.
    """
    started = time.perf_counter()
    experiment_id = open_store(config.tracking.uri, config.tracking.experiment)
    if isinstance(config.weights, RunWeights):
        check_weights(config.weights.run_id)
    with TrackedRun(config, experiment_id, overrides) as tracked:
        config = _settled(config)
        keras.utils.set_random_seed(config.seed)
        load_size = config.augmentation.load_size or config.model.input_size
        splits = load_splits(config.dataset, load_size, Path(config.paths.cache))
        pretrained = _pretrained(config)
        if pretrained:
            config = replace(config, model=adapt_model(config.model, pretrained))
        identity = fingerprint(config, splits.fingerprint, pretrained.content_sha256 if pretrained else None)

        tracker = tracked.begin(config, identity)
        if isinstance(tracker, Finished):
            return _reused(tracker, config, len(splits.test))
        tracker.tag(
            precision=config.training.precision,
            devices=config.training.devices,
            dataset_sha256=splits.fingerprint,
            test_sha256=splits.test_sha256,
        )
        if config.run.trial is not None:
            tracker.tag(trial=config.run.trial)
        if pretrained:
            tracker.tag(weights_sha256=pretrained.sha256)
        if pretrained and pretrained.metadata:
            tracker.log_yaml("config/weights.yaml", to_dict(pretrained.metadata))
        _log_plan(config, splits)

        with Checkpoints(tracker.checkpoints) as checkpoints:
            fitted = STRATEGIES[config.strategy.name](
                config, splits, pretrained, _on_epoch(config, tracker, is_hopeless), checkpoints
            )
            # the last checkpoint is written meanwhile
            store = activation_store(config.cache, config.paths)
            probabilities = fitted.predict_proba(splits.test, config.evaluation.batch_size, store)
            report = evaluate(probabilities, splits.test.labels, splits.test.ids, splits.class_names)
            tracker.log_report(report, fitted.history[-1]["epoch"] + 1 if config.evaluation.test_each_epoch else 0)
            if config.tracking.figures:
                tracker.log_images(run_figures(config, fitted, report, splits))
            tracker.log_model(fitted)
        seconds = time.perf_counter() - started
        tracker.log_summary({"time/total_seconds": seconds, "model/parameters": fitted.parameters})
        tracker.log_summary({VAL_ACCURACY: fitted.val_accuracy})
    _log_result(report.metrics, len(splits.test), seconds, tracker.run_id)
    return RunResult(tracker.run_id, report.metrics, fitted.val_accuracy)


def _settled(config: RunConfig) -> RunConfig:
    """The configuration with the precision and the number of devices that this machine trains with."""
    devices = len(choose_devices(config.training))
    keras.backend.clear_session()
    precision = choose_precision(config.training, config.model, Path(config.paths.cache))
    return replace(config, training=replace(config.training, precision=precision, devices=devices))


def _reused(finished: Finished, config: RunConfig, examples: int) -> RunResult:
    """The result of a finished run of the same experiment."""
    run_id, logged = finished.run_id, finished.metrics
    log.info("finished in study %s (run.if_exists=rerun repeats it)", finished.study)
    metrics = {name.removeprefix("test/"): value for name, value in logged.items() if name.startswith("test/")}
    _log_result(metrics, examples, logged["time/total_seconds"], run_id, "not run again: ")
    return RunResult(run_id, metrics, logged[VAL_ACCURACY])


def _pretrained(config: RunConfig) -> Pretrained | None:
    match config.weights:
        case FileWeights(path=path, url=url, checksum=checksum):
            return read_weights(fetch(Path(path), url, checksum))
        case RunWeights(run_id=run_id):
            with tempfile.TemporaryDirectory() as folder:
                return read_weights(download_weights(run_id, Path(folder)))
        case _:
            return None


def _on_epoch(config: RunConfig, tracker: Tracker, is_hopeless: Callable[[int, float], bool] | None) -> OnEpoch:
    folder = config.tracking.tensorboard
    to_tensorboard = tensorboard_log(Path(folder) / tracker.run_id) if folder else None

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        tracker.log_epoch(epoch, metrics)
        if to_tensorboard:
            to_tensorboard(epoch, metrics)
        if is_hopeless and is_hopeless(epoch, metrics["val/accuracy"]):
            tracker.tag(**{PRUNED: f"after epoch {epoch}"})
            raise Pruned(metrics["val/accuracy"])

    return on_epoch


def _log_plan(config: RunConfig, splits: Splits) -> None:
    parts = ", ".join(
        f"{len(part)} {name}" for name, part in (("train", splits.train), ("val", splits.val), ("test", splits.test))
    )
    log.info(
        "%s: %s on %s (%s; %d classes), seed %d",
        config.strategy.name,
        config.model.name,
        config.dataset.name,
        parts,
        len(splits.class_names),
        config.seed,
    )


def _log_result(metrics: dict[str, float], examples: int, seconds: float, run_id: str, prefix: str = "") -> None:
    log.info(
        "%stest accuracy %.4f (95 %% interval %.4f to %.4f, n = %d)  %.1f s  run %s",
        prefix,
        metrics["accuracy"],
        metrics["accuracy_low"],
        metrics["accuracy_high"],
        examples,
        seconds,
        run_id,
        extra=RESULT,
    )
