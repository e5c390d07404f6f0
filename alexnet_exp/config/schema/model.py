"""The network."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Position, Positive, Triple, frozen


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
    conv: Annotated[dict[str, Conv], Field(min_length=1)]
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
