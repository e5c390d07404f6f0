"""How networks are trained."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Metric, NonNegative, Positive, frozen


@frozen
class Sgd:
    """Stochastic gradient descent.

    Attributes:
      learning_rate: the rate that the schedule starts from or rises to.
      momentum: the part of the last step that is kept; 0 for none.
      nesterov: looks ahead along the momentum.
      weight_decay: decoupled, on kernels alone.
    """

    name: Literal["sgd"]
    learning_rate: Positive
    momentum: Fraction
    nesterov: bool
    weight_decay: NonNegative


@frozen
class Adam:
    """Adam (Kingma and Ba 2014).

    Attributes:
      learning_rate: the rate that the schedule starts from or rises to.
      beta_1: decay of the mean of the gradient.
      beta_2: decay of the mean of its square.
    """

    name: Literal["adam"]
    learning_rate: Positive
    beta_1: Fraction
    beta_2: Fraction


@frozen
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2017).

    Attributes:
      learning_rate: the rate that the schedule starts from or rises to.
      beta_1: decay of the mean of the gradient.
      beta_2: decay of the mean of its square.
      weight_decay: decoupled, on kernels alone.
    """

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
    """A factor every so many epochs.

    Attributes:
      every: epochs between two steps.
      factor: of the rate at each step.
    """

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, lt=1)]


@frozen
class ReduceOnPlateau:
    """A factor when a metric stalls.

    Attributes:
      monitor: the metric.
      factor: of the rate.
      patience: epochs without improvement before the rate falls.
      min_learning_rate: below which it does not fall.
    """

    name: Literal["reduce_on_plateau"]
    monitor: Metric
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count
    min_learning_rate: NonNegative


@frozen
class Cosine:
    """Half a cosine down to zero, after a linear warm-up, step by step.

    Attributes:
      warmup_epochs: of the linear rise from zero.
    """

    name: Literal["cosine"]
    warmup_epochs: Annotated[int, Field(strict=True, ge=0)]


@frozen
class OneCycle:
    """A linear rise, then half a cosine down to zero, step by step.

    Attributes:
      warmup_fraction: of all steps, for the rise.
    """

    name: Literal["one_cycle"]
    warmup_fraction: Annotated[float, Field(gt=0, lt=1)]


Precision = Literal["float32", "bfloat16", "float16"]
ScheduleConfig = Annotated[Constant | Step | ReduceOnPlateau | Cosine | OneCycle, Field(discriminator="name")]


@frozen
class TrainingConfig:
    """How networks are trained, whatever the strategy.

    Attributes:
      epochs: of `scratch` and, unless it says otherwise, `features_mlp`; the stages of `finetune` have their own.
      batch_size: of all devices together.
      precision: of multiplications; weights, logits and loss are float32. `auto` is bfloat16 where this machine trains
        faster with it, otherwise float32.
      devices: `auto` is all GPUs, or the processor; a number takes so many, or divides the processor.
      loss: of the softmax and the true class.
      label_smoothing: of the cross-entropy.
      monitor: what early stopping and the best epoch go by.
      patience: epochs without improvement before a stage stops; null trains all epochs.
      restore_best: ends with the weights of the best epoch instead of the last.
    """

    epochs: Count
    batch_size: Count
    precision: Literal["auto", Precision]
    devices: Literal["auto"] | Count
    loss: Literal["cross_entropy", "mean_squared_error"]
    label_smoothing: Fraction
    monitor: Literal["val/accuracy", "val/loss"]
    patience: Count | None
    restore_best: bool
