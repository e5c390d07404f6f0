"""Every layer of a network with its sizes and costs, from its configuration alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from alexnet_exp.config.geometry import output_sizes
from alexnet_exp.config.schema import ModelConfig
from alexnet_exp.config.schema.fields import Position

VALUE_BYTES = 4  # float32
NORM_WEIGHTS = {"batch": 4, "layer": 2, "group": 2, "lrn": 0}  # for each channel; batch norm's statistics are counted
Kind = Literal["input", "conv", "pool", "norm", "flatten", "dense"]


@dataclass(frozen=True)
class Layer:
    """One row of the table, for one image and a forward pass.

    Attributes:
      name: as in the Keras model.
      kind: what it does.
      output: height, width and channels, or the number of units.
      kernel: height and width of the window, in pixels; None where there is none.
      stride: of the window, in pixels.
      groups: of the convolution; 1 elsewhere.
      parameters: weights and biases; of batch norm also the running statistics.
      multiply_adds: one for each weight and output position. Biases, normalisation, pooling and activation functions
        are not counted, as in the usual figures of AlexNet (724 million with two towers).
    """

    name: str
    kind: Kind
    output: tuple[int, ...]
    kernel: int | None = None
    stride: int | None = None
    groups: int = 1
    parameters: int = 0
    multiply_adds: int = 0

    @property
    def neurons(self) -> int:
        """Units that have weights and an activation: outputs of convolutions and dense layers."""
        return math.prod(self.output) if self.kind in ("conv", "dense") else 0

    @property
    def activation_bytes(self) -> int:
        """Of the output in float32. Flattening, dropout and activation functions work in place and take no more."""
        return 0 if self.kind == "flatten" else math.prod(self.output) * VALUE_BYTES


def layer_table(model: ModelConfig, classes: int) -> list[Layer]:
    """The layers of `build_alexnet(model, classes)` from the image to the softmax.

    Activation functions, dropout, padding and preprocessing have no row: they change neither sizes nor counts.
    """
    return list(_layers(model, classes))


def _layers(model: ModelConfig, classes: int) -> Iterator[Layer]:
    sizes = output_sizes(model)
    shape: tuple[int, ...] = (model.input_size, model.input_size, 3)
    yield Layer("images", "input", shape)

    for name, conv in model.conv.items():
        yield from _norm(model, name, "before_layer", shape)
        weights = conv.kernel**2 * (shape[-1] // conv.groups) * conv.filters
        shape = (sizes[name], sizes[name], conv.filters)
        multiply_adds = sizes[name] ** 2 * weights
        yield Layer(name, "conv", shape, conv.kernel, conv.stride, conv.groups, weights + conv.filters, multiply_adds)
        yield from _norm(model, name, "before_activation", shape)
        yield from _norm(model, name, "after_activation", shape)
        if pool := model.pools.get(name):
            shape = (sizes[pool], sizes[pool], conv.filters)
            yield Layer(pool, "pool", shape, model.pool.size, model.pool.stride)
        yield from _norm(model, name, "after_pool", shape)

    shape = (math.prod(shape),)
    yield Layer("flatten", "flatten", shape)
    for name, units in [*model.dense.items(), ("head", classes)]:
        yield from _norm(model, name, "before_layer", shape)
        weights = shape[0] * units
        shape = (units,)
        yield Layer(name, "dense", shape, parameters=weights + units, multiply_adds=weights)
        for position in ("before_activation", "after_activation", "after_pool"):
            yield from _norm(model, name, position, shape)


def _norm(model: ModelConfig, name: str, position: Position, shape: tuple[int, ...]) -> Iterator[Layer]:
    norm = model.norm
    if norm.kind != "none" and name in norm.layers and position == norm.position:
        yield Layer(f"{name}_norm", "norm", shape, parameters=NORM_WEIGHTS[norm.kind] * shape[-1])
