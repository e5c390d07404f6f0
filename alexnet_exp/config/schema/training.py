"""How networks are trained."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Metric, NonNegative, Positive, frozen


@frozen
class Sgd:
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    learning_rate: Positive
    momentum: Fraction
    nesterov: bool
    weight_decay: NonNegative


@frozen
class Adam:
    """Adam."""

    name: Literal["adam"]
    learning_rate: Positive
    beta_1: Fraction
    beta_2: Fraction


@frozen
class AdamW:
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]
    learning_rate: Positive
    beta_1: Fraction
    beta_2: Fraction
    weight_decay: NonNegative


OptimizerConfig = Annotated[Sgd | Adam | AdamW, Field(discriminator="name")]


@frozen
class Constant:
    """The optimizer's rate throughout."""

    name: Literal["constant"]


@frozen
class Step:
    """A factor every so many epochs."""

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, lt=1)]


@frozen
class ReduceOnPlateau:
    """A factor when the monitored metric stalls."""

    name: Literal["reduce_on_plateau"]
    monitor: Metric
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count
    min_learning_rate: NonNegative


@frozen
class Cosine:
    """Half a cosine down to zero, after a linear warm-up."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[int, Field(strict=True, ge=0)]


@frozen
class OneCycle:
    """A linear rise, then half a cosine down to zero."""

    name: Literal["one_cycle"]
    warmup_fraction: Annotated[float, Field(gt=0, lt=1)]


Precision = Literal["float32", "bfloat16", "float16"]
ScheduleConfig = Annotated[Constant | Step | ReduceOnPlateau | Cosine | OneCycle, Field(discriminator="name")]


@frozen
class TrainingConfig:
    """How networks are trained, whatever the strategy."""

    epochs: Count
    batch_size: Count
    precision: Literal["auto", Precision]
    devices: Literal["auto"] | Count
    loss: Literal["cross_entropy", "mean_squared_error"]
    label_smoothing: Fraction
    monitor: Literal["val/accuracy", "val/loss"]
    patience: Count | None
    restore_best: bool
