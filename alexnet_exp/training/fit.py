"""One stage of training: compile, fit, and a record of each epoch."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from alexnet_exp.config.schema import OptimizerConfig, ScheduleConfig, TrainingConfig
from alexnet_exp.console import IN_VIEW, terminal
from alexnet_exp.data.batches import Feed
from alexnet_exp.errors import TrainingDiverged
from alexnet_exp.training.devices import choose_devices, mirrored
from alexnet_exp.training.live_view import LiveView
from alexnet_exp.training.optimizer import build_optimizer, keras_metric, plateau_callbacks

log = logging.getLogger(__name__)

Metrics = dict[str, float]
OnEpoch = Callable[[int, Metrics], None]


@dataclass(frozen=True)
class Stage:
    """One stage of training: its name, the numbers of its epochs in the run, and its learning rate."""

    name: str
    epochs: range
    learning_rate: float


def fit(
    network: keras.Model,
    feed: Feed,
    stage: Stage,
    training: TrainingConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    on_epoch: OnEpoch,
) -> list[dict[str, Any]]:
    """Trains what is trainable in a network.

    Args:
      network: from images (or features) to probabilities `[B, classes]`.
      feed: the batches; as many epochs as the stage has.
      stage: its rate takes the place of the optimizer's own.
      on_epoch: is called with the number of the epoch in the run and its metrics.

    Returns:
      For each epoch the metrics, with `epoch` and `stage`.
    """
    epochs = len(stage.epochs)
    record = EpochRecord(stage, feed.examples, on_epoch)
    views = [LiveView(stage.name, epochs, feed.steps, feed.examples)] if terminal().is_interactive else []
    callbacks = [*plateau_callbacks(schedule), *_stopping(training), *views, record]
    with mirrored(network, feed, choose_devices(training)) as (trained, batches):
        trained.compile(
            optimizer=build_optimizer(optimizer, schedule, stage.learning_rate, feed.steps, epochs),
            loss=_loss(training),
            weighted_metrics=["accuracy"],
        )
        try:
            trained.fit(
                batches.train,
                validation_data=batches.val,
                epochs=epochs,
                steps_per_epoch=feed.steps,
                verbose=0,
                shuffle=False,
                callbacks=callbacks,
            )
        finally:
            for view in views:
                view.stop()
    return record.history


class EpochRecord(keras.callbacks.Callback):
    """Names the metrics, adds rate and speed, and hands them on."""

    def __init__(self, stage: Stage, examples: int, on_epoch: OnEpoch):
        super().__init__()
        self.stage, self.examples, self.on_epoch = stage, examples, on_epoch
        self.history: list[dict[str, Any]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = self.train_ended = time.perf_counter()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_test_begin(self, logs: Any = None) -> None:
        self.train_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        metrics = {
            "train/loss": logs["loss"],
            "train/accuracy": logs["accuracy"],
            "val/loss": logs["val_loss"],
            "val/accuracy": logs["val_accuracy"],
            "train/learning_rate": self.learning_rate,
            "time/epoch_seconds": time.perf_counter() - self.started,
            "time/images_per_second": self.examples / (self.train_ended - self.started),
        }
        number = self.stage.epochs[epoch]
        if not math.isfinite(metrics["train/loss"]):
            raise TrainingDiverged(
                f"optimizer.learning_rate: expected a rate at which the loss stays finite. Received: "
                f"{self.learning_rate:.3g}, loss {metrics['train/loss']} in {self.stage.name}, epoch {epoch + 1}"
            )
        self.on_epoch(number, metrics)
        self.history.append({"epoch": number, "stage": self.stage.name} | metrics)
        train = "loss {train/loss:.4f}  accuracy {train/accuracy:.4f}"
        val = "val loss {val/loss:.4f}  val accuracy {val/accuracy:.4f}"
        speed = "rate {train/learning_rate:.2g}  {time/epoch_seconds:.1f} s  {time/images_per_second:.0f} images/s"
        line = f"{train}  {val}  {speed}".format_map(metrics)
        log.info("%s epoch %d/%d  %s", self.stage.name, epoch + 1, len(self.stage.epochs), line, extra=IN_VIEW)


def _loss(training: TrainingConfig) -> keras.losses.Loss:
    if training.loss == "mean_squared_error":
        return keras.losses.MeanSquaredError()
    return keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing)


def _stopping(training: TrainingConfig) -> list[keras.callbacks.Callback]:
    if training.patience is None and not training.restore_best:
        return []
    return [
        keras.callbacks.EarlyStopping(
            monitor=keras_metric(training.monitor),
            mode="max" if training.monitor.endswith("accuracy") else "min",
            patience=training.patience if training.patience is not None else 10**9,
            restore_best_weights=training.restore_best,
        )
    ]
