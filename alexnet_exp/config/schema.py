"""One frozen dataclass per config group. The values live in `conf/`; nothing here has a default."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Integer = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
Position = Literal["before_layer", "before_activation", "after_activation", "after_pool"]
Metric = Literal["train/loss", "train/accuracy", "val/loss", "val/accuracy"]

frozen = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))


@frozen
class Preprocess:
    """The network sees `(pixel * scale - mean) / std`, channels in the given order."""

    channels: Literal["rgb", "bgr"]
    scale: Positive
    mean: Triple
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]


@frozen
class Conv:
    """One convolution; `padding` is `valid`, `same`, or a number of pixels on each side."""

    filters: Count
    kernel: Count
    stride: Count
    padding: Literal["valid", "same"] | Annotated[int, Field(strict=True, ge=0)]
    groups: Count


@frozen
class Initializer:
    """Kernel initialisation; biases are zero but in the layers of `bias_ones`."""

    kind: Literal["he_normal", "glorot_uniform", "normal"]
    stddev: Positive | None
    bias_ones: list[str]


@frozen
class Pool:
    """Pooling after the named layers; after `conv1` it is called `pool1`."""

    kind: Literal["max", "average"]
    size: Count
    stride: Count
    padding: Literal["valid", "same"]
    layers: list[str]


@frozen
class Lrn:
    """Local response normalisation over `size` neighbouring channels."""

    size: Count
    alpha: Positive
    beta: Positive
    k: Positive


@frozen
class Norm:
    """Normalisation of the named layers, at one position of their blocks."""

    kind: Literal["none", "batch", "lrn", "layer", "group"]
    position: Position
    layers: list[str]
    momentum: Fraction
    groups: Count
    lrn: Lrn


@frozen
class Dropout:
    """Dropout of the layers in `rates`, at one position of their blocks."""

    rates: dict[str, Fraction]
    position: Position
    spatial: bool


@frozen
class ModelConfig:
    """AlexNet or a relative: convolutions `conv1 ...`, hidden layers `fc6 ...` and the softmax layer `head`."""

    name: str
    input_size: Count
    preprocess: Preprocess
    conv: dict[str, Conv]
    dense: dict[str, Count]
    activation: Literal["relu", "tanh", "sigmoid", "gelu"]
    initializer: Initializer
    pool: Pool
    norm: Norm
    dropout: Dropout

    @property
    def layers(self) -> list[str]:
        """The names of the layers with weights, from the input to the output."""
        return [*self.conv, *self.dense, "head"]

    @property
    def pools(self) -> dict[str, str]:
        """Layer -> the name of the pooling that follows it: `conv1` -> `pool1`."""
        return {layer: layer.replace("conv", "pool") for layer in self.conv if layer in self.pool.layers}


@frozen
class DatasetConfig:
    """Images and how they are split."""

    name: str
    source: Literal["digits", "images"]
    root: str | None
    classes: list[str] | None
    limit_per_class: Count | None
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(strict=True, ge=0)]
    resize: Literal["squash", "crop"]
    on_bad_image: Literal["error", "skip"]


@frozen
class AugmentationConfig:
    """Random transformations of the training images."""

    name: str
    load_size: Count | None
    flip: bool
    rotation: Annotated[float, Field(ge=0, le=180)]
    shear: Annotated[float, Field(ge=0, lt=1.5)]
    zoom: Fraction
    shift: Fraction
    pca_color: NonNegative


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


ScheduleConfig = Annotated[Constant | Step | ReduceOnPlateau | Cosine | OneCycle, Field(discriminator="name")]


@frozen
class NoWeights:
    """Random initialisation."""

    name: Literal["none"]


@frozen
class FileWeights:
    """Pretrained layers from a file."""

    name: Literal["file"]
    path: str
    fresh: list[str]


@frozen
class RunWeights:
    """Pretrained layers of an earlier run."""

    name: Literal["run"]
    run_id: str
    fresh: list[str]


WeightsConfig = Annotated[NoWeights | FileWeights | RunWeights, Field(discriminator="name")]


@frozen
class Scratch:
    """All layers train from random initialisation."""

    name: Literal["scratch"]


@frozen
class Stage:
    """One stage of fine-tuning: the layers that train, and how."""

    layers: Annotated[list[str], Field(min_length=1)]
    epochs: Count
    learning_rate: Positive


@frozen
class Finetune:
    """The stages of fine-tuning, in order."""

    name: Literal["finetune"]
    stages: Annotated[list[Stage], Field(min_length=1)]


@frozen
class FeaturesSvm:
    """A support vector machine on the activations of the layer `cut`."""

    name: Literal["features_svm"]
    cut: str
    kernel: Literal["linear", "rbf"]
    c: Annotated[list[Positive], Field(min_length=1)]
    scale: bool


@frozen
class FeaturesMlp:
    """A hidden layer and a softmax on the activations of the layer `cut`."""

    name: Literal["features_mlp"]
    cut: str
    units: Count
    dropout: Fraction
    epochs: Count


StrategyConfig = Annotated[Scratch | Finetune | FeaturesSvm | FeaturesMlp, Field(discriminator="name")]


@frozen
class TrainingConfig:
    """How networks are trained, whatever the strategy."""

    epochs: Count
    batch_size: Count
    loss: Literal["cross_entropy", "mean_squared_error"]
    label_smoothing: Fraction
    monitor: Literal["val/accuracy", "val/loss"]
    patience: Count | None
    restore_best: bool


@frozen
class EvaluationConfig:
    """How predictions and features are computed."""

    batch_size: Count
    views: Literal["center", "mirror", "ten_crop"]


@frozen
class RunSettings:
    """What the run is called in MLflow."""

    name: str | None
    study: str | None
    arm: str | None


@frozen
class TrackingConfig:
    """Where runs are kept."""

    uri: str | None
    experiment: str


@frozen
class Paths:
    """Folders of data and caches."""

    data: str
    cache: str


@frozen
class RunConfig:
    """One experiment. `run`, `tracking` and `paths` do not change its result; everything else does."""

    model: ModelConfig
    dataset: DatasetConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    weights: WeightsConfig
    strategy: StrategyConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)]
    run: RunSettings
    tracking: TrackingConfig
    paths: Paths
