"""The network."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from alexnet_exp.config.schema.fields import Count, Fraction, Position, Positive, Triple, frozen


@frozen
class Preprocess:
    """The network sees `(pixel * scale - mean) / std`; pretrained weights bring their own.

    Attributes:
      channels: their order in the network, `mean` and `std`; images are RGB.
      scale: factor on pixels from 0 to 255.
      mean: subtracted, one for each channel.
      std: divided by, one for each channel.
    """

    channels: Literal["rgb", "bgr"]
    scale: Positive
    mean: Triple
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]


@frozen
class Conv:
    """One convolution.

    Attributes:
      filters: output channels.
      kernel: height and width.
      stride: in both directions.
      padding: `valid` is none, `same` keeps the size at stride 1, a number is pixels on each side.
      groups: into which the channels are divided; 2 are the two towers of 2012.
    """

    filters: Count
    kernel: Count
    stride: Count
    padding: Literal["valid", "same"] | Annotated[int, Field(strict=True, ge=0)]
    groups: Count


@frozen
class Initializer:
    """How kernels and biases start.

    Attributes:
      kind: of the kernels.
      stddev: of `normal`; null for the others.
      bias_ones: layers whose biases start at one, the others at zero.
    """

    kind: Literal["he_normal", "glorot_uniform", "normal"]
    stddev: Positive | None
    bias_ones: list[str]


@frozen
class Pool:
    """Pooling of convolutional layers; that of `conv1` is called `pool1`.

    Attributes:
      kind: maximum or mean.
      size: height and width of the window.
      stride: in both directions; less than `size` overlaps.
      padding: `valid` is none, `same` rounds sizes up.
      layers: those that it follows.
    """

    kind: Literal["max", "average"]
    size: Count
    stride: Count
    padding: Literal["valid", "same"]
    layers: list[str]


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("an odd number of channels")
    return size


@frozen
class Lrn:
    """Local response normalisation: `x / (k + alpha * s)^beta`, `s` the sum of squares over neighbouring channels.

    Attributes:
      size: how many channels, an odd number.
      alpha: factor of the sum; Caffe and PyTorch divide theirs by the size.
      beta: exponent.
      k: constant.
    """

    size: Annotated[Count, AfterValidator(_odd)]
    alpha: Positive
    beta: Positive
    k: Positive


@frozen
class Norm:
    """Normalisation of the named layers, at one position of their blocks.

    Attributes:
      kind: batch, local response (`lrn`), layer or group normalisation.
      position: in the block of each layer; where nothing is pooled, `after_pool` is after the activation.
      layers: those that are normalised; `head` at the first two positions alone, `lrn` on convolutional layers alone.
      momentum: of `batch`, with which its running statistics decay.
      groups: of `group`: their number, or the largest divisor of it that divides the channels.
      lrn: the constants of `lrn`.
    """

    kind: Literal["none", "batch", "lrn", "layer", "group"]
    position: Position
    layers: list[str]
    momentum: Fraction
    groups: Count
    lrn: Lrn


@frozen
class Dropout:
    """Dropout of the layers in `rates`, at one position of their blocks.

    Attributes:
      rates: for each layer the fraction that is dropped.
      position: in the block of each layer.
      spatial: drops whole channels in convolutional layers.
    """

    rates: dict[str, Fraction]
    position: Position
    spatial: bool


@frozen
class ModelConfig:
    """AlexNet or a relative: convolutions `conv1 ...`, hidden layers `fc6 ...` and the softmax layer `head`.

    Attributes:
      name: what it is called in MLflow, and what `weights.models` speaks of.
      input_size: height and width of what the network sees, in pixels.
      preprocess: its first layer, from raw pixels.
      conv: the convolutional layers, from the input on.
      dense: the hidden layers behind them, with their units.
      activation: of all layers but the head.
      initializer: of layers that are not pretrained.
      pool: between the convolutional layers.
      norm: where normalisation goes.
      dropout: where dropout goes.
    """

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
