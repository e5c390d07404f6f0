"""One stage of training: compile, fit, and a record of each epoch."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.progress import TaskID

from alexnet_exp.config.schema import OptimizerConfig, ScheduleConfig, TrainingConfig
from alexnet_exp.console import progress_bar
from alexnet_exp.data.batches import Feed
from alexnet_exp.errors import TrainingDiverged
from alexnet_exp.training.course import Course, Stage
from alexnet_exp.training.devices import choose_devices, mirrored
from alexnet_exp.training.interrupts import held_signals
from alexnet_exp.training.optimizer import build_optimizer, keras_metric, plateau_callbacks

log = logging.getLogger(__name__)

Metrics = dict[str, float]
OnEpoch = Callable[[int, Metrics], None]


def fit(
    network: keras.Model,
    feed: Feed,
    stage: Stage,
    training: TrainingConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    on_epoch: OnEpoch,
    course: Course | None = None,
) -> list[dict[str, Any]]:
    """Trains what is trainable in a network.

    SIGINT and SIGTERM wait until the epoch is recorded.

    Args:
      network: from images (or features) to probabilities `[B, classes]`.
      feed: the batches of the epochs that are left.
      stage: its rate takes the place of the optimizer's own.
      on_epoch: is called with the number of the epoch in the run and its metrics.
      course: what an earlier process has done of the stage, and where its checkpoints go; None begins and keeps none.

    Returns:
      For each epoch of the stage the metrics, with `epoch` and `stage`.

    Raises:
      TrainingDiverged: when the loss is no longer finite.
    """
    epochs = len(stage.epochs)
    course = course or Course(stage, network, training)
    bar = ProgressBar(stage, feed.steps)  # before the record: the bar is gone when the epoch's line is written
    states = [*plateau_callbacks(schedule), *_stopping(training)]
    with mirrored(network, feed, choose_devices(training)) as (trained, batches), held_signals() as let_through:
        record = EpochRecord(stage, batches, on_epoch, course, states, let_through)
        trained.compile(
            optimizer=build_optimizer(optimizer, schedule, stage.learning_rate, feed.steps, epochs),
            loss=_loss(training),
            weighted_metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
        )
        # variables that the training step makes while it is traced cost a second trace, and its graphs are never freed
        trained.optimizer.build(trained.trainable_variables)
        try:
            trained.fit(
                batches.train,
                validation_data=batches.val,
                epochs=epochs,
                initial_epoch=len(course.history),
                steps_per_epoch=feed.steps,
                verbose=0,
                shuffle=False,
                callbacks=[*states, bar, record],
            )
        finally:
            bar.stop()
    return course.history


class EpochRecord(keras.callbacks.Callback):
    """Names the metrics, adds rate and speed, and hands them on; then there is a checkpoint, and training may stop.

    It is the last callback: the others have seen the epoch when its state is kept.
    """

    def __init__(
        self,
        stage: Stage,
        feed: Feed,
        on_epoch: OnEpoch,
        course: Course,
        states: list[keras.callbacks.Callback],
        let_through: Callable[[], None],
    ):
        super().__init__()
        self.stage, self.feed, self.on_epoch = stage, feed, on_epoch
        self.course, self.states, self.let_through = course, states, let_through

    def on_train_begin(self, logs: Any = None) -> None:
        self.course.restore(self.model, self.states)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = self.train_ended = time.perf_counter()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.check_finite((logs or {})["loss"])

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
            "time/images_per_second": self.feed.examples / (self.train_ended - self.started),
        }
        self.check_finite(metrics["val/loss"])
        number = self.stage.epochs[epoch]
        if self.feed.test is not None:
            test = self.model.evaluate(self.feed.test, verbose=0, return_dict=True)
            metrics["test/accuracy"] = test["accuracy"]
        self.on_epoch(number, metrics)
        self.course.history.append({"epoch": number, "stage": self.stage.name} | metrics)
        train = "loss {train/loss:.4f}  accuracy {train/accuracy:.4f}"
        val = "val loss {val/loss:.4f}  val accuracy {val/accuracy:.4f}"
        speed = "rate {train/learning_rate:.2g}  {time/epoch_seconds:.1f} s  {time/images_per_second:.0f} images/s"
        line = f"{train}  {val}  {speed}".format_map(metrics)
        log.info("%s epoch %d/%d  %s", self.stage.name, epoch + 1, len(self.stage.epochs), line)
        self.course.keep(self.model, self.states)
        self.let_through()

    def check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"optimizer.learning_rate: expected a rate at which the loss stays finite. Received: "
                f"{self.learning_rate:.3g}, loss {loss} in {self.stage.name}, epoch {len(self.course.history) + 1}"
            )


class ProgressBar(keras.callbacks.Callback):
    """Steps done in the current epoch, on a terminal alone."""

    def __init__(self, stage: Stage, steps: int):
        super().__init__()
        self.stage, self.steps = stage, steps
        self.bar = progress_bar()
        self.task = TaskID(0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        title = f"{self.stage.name} epoch {epoch + 1}/{len(self.stage.epochs)}"
        self.bar = progress_bar()
        self.bar.start()
        self.task = self.bar.add_task(title, total=self.steps)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update(self.task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.stop()

    def stop(self) -> None:
        self.bar.stop()


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
