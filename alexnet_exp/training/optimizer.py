"""Keras optimizers with their learning-rate schedules."""

import keras
from keras.optimizers import schedules

from alexnet_exp.config.schema import (
    Adam,
    AdamW,
    Cosine,
    OneCycle,
    OptimizerConfig,
    ReduceOnPlateau,
    ScheduleConfig,
    Sgd,
    Step,
)
from alexnet_exp.training import one_pass

NOT_DECAYED = ["bias", "gamma", "beta"]


def build_optimizer(
    optimizer: OptimizerConfig, schedule: ScheduleConfig, learning_rate: float, steps: int, epochs: int
) -> keras.Optimizer:
    """Builds an optimizer for `epochs` passes of `steps` batches.

    Args:
      optimizer: which one; `learning_rate` takes the place of its own.
      schedule: of the rate, decided for each step; `reduce_on_plateau` is a callback instead, see `plateau_callbacks`.
      learning_rate: the rate that the schedule starts from or rises to.
      steps: batches in an epoch.
      epochs: for which the schedule is laid out.
    """
    rate = _schedule(schedule, learning_rate, steps, epochs)
    match optimizer:
        case Sgd():
            built = one_pass.Sgd(
                rate, optimizer.momentum, optimizer.nesterov, weight_decay=optimizer.weight_decay or None
            )
        case Adam():
            return one_pass.Adam(rate, optimizer.beta_1, optimizer.beta_2)
        case AdamW():
            built = one_pass.AdamW(rate, optimizer.weight_decay, optimizer.beta_1, optimizer.beta_2)
    if optimizer.weight_decay:
        built.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return built


def plateau_callbacks(schedule: ScheduleConfig) -> list[keras.callbacks.Callback]:
    """The callback of `reduce_on_plateau`; none for the other schedules."""
    if not isinstance(schedule, ReduceOnPlateau):
        return []
    return [
        keras.callbacks.ReduceLROnPlateau(
            monitor=keras_metric(schedule.monitor),
            factor=schedule.factor,
            patience=schedule.patience,
            min_lr=schedule.min_learning_rate,
            min_delta=0,
        )
    ]


def keras_metric(metric: str) -> str:
    """Keras' name of a metric: `val/accuracy` -> `val_accuracy`, `train/loss` -> `loss`."""
    return metric.removeprefix("train/").replace("/", "_")


def _schedule(schedule: ScheduleConfig, rate: float, steps: int, epochs: int) -> float | schedules.LearningRateSchedule:
    match schedule:
        case Step():
            boundaries = list(range(schedule.every, epochs, schedule.every))
            values = [rate * schedule.factor**power for power in range(len(boundaries) + 1)]
            last_steps = [epoch * steps - 1 for epoch in boundaries]  # Keras' boundaries belong to what is before them
            return schedules.PiecewiseConstantDecay(last_steps, values) if last_steps else rate
        case Cosine():
            return _cosine(rate, schedule.warmup_epochs * steps, steps * epochs)
        case OneCycle():
            return _cosine(
                rate, min(round(schedule.warmup_fraction * steps * epochs), steps * epochs - 1), steps * epochs
            )
        case _:
            return rate


def _cosine(rate: float, warmup_steps: int, steps: int) -> schedules.LearningRateSchedule:
    if not warmup_steps:
        return schedules.CosineDecay(rate, steps)
    return schedules.CosineDecay(0.0, steps - warmup_steps, warmup_target=rate, warmup_steps=warmup_steps)
