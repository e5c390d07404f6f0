"""AlexNet and its relatives, one functional Keras model from a `ModelConfig`.

Every layer with weights is a block: `conv1`, `conv1_activation`, `pool1`, and where the configuration places them
`conv1_norm` and `conv1_dropout`. The network is one chain from the raw pixels to `probabilities`.
"""

import math
from dataclasses import replace
from typing import Any

import keras
from keras import layers

from alexnet_exp.config.schema import Conv, Initializer, ModelConfig, Norm
from alexnet_exp.config.schema.fields import Position
from alexnet_exp.model.layers import Conv2D, LocalResponseNormalization, Preprocess


def build_alexnet(model: ModelConfig, classes: int) -> keras.Model:
    """Builds the network.

    Args:
      model: its layers, and where normalisation and dropout go.
      classes: width of the softmax.

    Returns:
      A model from uint8 RGB `[B, input_size, input_size, 3]` to float32 probabilities `[B, classes]`.
    """
    pre = model.preprocess
    images = x = keras.Input((model.input_size, model.input_size, 3), dtype="uint8", name="images")
    x = Preprocess(pre.channels, pre.scale, pre.mean, pre.std, name="preprocess")(x)

    # Convolutional blocks
    for name, conv in model.conv.items():
        x = _place(x, model, name, "before_layer")
        x = _convolution(x, name, conv, model.initializer)
        x = _place(x, model, name, "before_activation")
        x = layers.Activation(model.activation, name=f"{name}_activation")(x)
        x = _place(x, model, name, "after_activation")
        if name in model.pools:
            pooling = layers.MaxPooling2D if model.pool.kind == "max" else layers.AveragePooling2D
            x = pooling(model.pool.size, model.pool.stride, model.pool.padding, name=model.pools[name])(x)
        x = _place(x, model, name, "after_pool")

    # Dense blocks
    x = layers.Flatten(name="flatten")(x)
    for name, units in model.dense.items():
        x = _place(x, model, name, "before_layer")
        x = layers.Dense(units, name=name, **_initializers(name, model.initializer))(x)
        x = _place(x, model, name, "before_activation")
        x = layers.Activation(model.activation, name=f"{name}_activation")(x)
        x = _place(x, model, name, "after_activation")
        x = _place(x, model, name, "after_pool")

    # Head
    x = _place(x, model, "head", "before_layer")
    x = layers.Dense(classes, dtype="float32", name="head", **_initializers("head", model.initializer))(x)
    x = _place(x, model, "head", "before_activation")
    probabilities = layers.Activation("softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(images, probabilities, name=model.name)


def block_of(layer: str) -> str:
    """The name of the layer with weights that a Keras layer belongs to: `conv1_norm` -> `conv1`."""
    return layer.split("_")[0]


def up_to(model: ModelConfig, cut: str) -> ModelConfig:
    """The model without the hidden layers after the layer or pooling `cut`."""
    names = list(model.dense)
    kept = names[: names.index(cut) + 1] if cut in names else []
    return replace(model, dense={name: model.dense[name] for name in kept})


def cut_network(network: keras.Model, cut: str, crops: int = 1) -> keras.Model:
    """The part of a network that ends in the activation of the layer `cut`, or in the pooling of that name, flattened.

    Args:
      network: the whole network.
      cut: `conv1`, `pool5`, `fc7`, ...
      crops: averages each feature map over windows of `crops` x `crops` positions. On an input that is larger by
        `crops - 1` strides of the cut, this is the mean of `crops` x `crops` shifted crops of the original size in one
        pass (the dense evaluation of Sermanet et al. 2013, section 3.3).

    Returns:
      A model from the same images to features `[B, D]`.
    """
    output = network.get_layer(cut if cut.startswith("pool") else f"{cut}_activation").output
    if len(output.shape) > 2:
        if crops > 1:
            output = layers.AveragePooling2D(crops, strides=1, name="crops")(output)
        output = layers.Flatten(name="features")(output)
    return keras.Model(network.input, output, name=f"{network.name}_{cut}")


def frozen_prefix(network: keras.Model) -> int:
    """How many layers at the input always give the same output: nothing in them trains or draws random numbers."""
    for number, layer in enumerate(network.layers):
        random = isinstance(layer, layers.Dropout | layers.SpatialDropout2D)
        if random or layer.trainable_variables:
            return number
    return len(network.layers)


def split_network(network: keras.Model, depth: int) -> tuple[keras.Model, keras.Model]:
    """A network as two that share its layers: the first `depth` layers (the input counts), and the rest."""
    between = network.layers[depth - 1].output
    first = keras.Model(network.input, between, name=f"{network.name}_{network.layers[depth - 1].name}")
    return first, keras.Model(between, network.output, name=network.name)


def _place(x: Any, model: ModelConfig, name: str, position: Position) -> Any:
    """Adds what the configuration wants at this position of the block: normalisation, then dropout."""
    if model.norm.kind != "none" and position == model.norm.position and name in model.norm.layers:
        x = _normalization(model.norm, f"{name}_norm", int(x.shape[-1]))(x)
    rate = model.dropout.rates.get(name, 0)
    if rate and position == model.dropout.position:
        spatial = model.dropout.spatial and len(x.shape) == 4
        x = (layers.SpatialDropout2D if spatial else layers.Dropout)(rate, name=f"{name}_dropout")(x)
    return x


def _normalization(norm: Norm, name: str, channels: int) -> keras.layers.Layer:
    if norm.kind == "batch":
        return layers.BatchNormalization(momentum=norm.momentum, name=name)
    if norm.kind == "layer":
        return layers.LayerNormalization(name=name)
    if norm.kind == "group":
        return layers.GroupNormalization(math.gcd(norm.groups, channels), name=name)
    return LocalResponseNormalization(norm.lrn.size, norm.lrn.alpha, norm.lrn.beta, norm.lrn.k, name=name)


def _convolution(x: Any, name: str, conv: Conv, initializer: Initializer) -> Any:
    padding = conv.padding
    if isinstance(padding, int):
        x = layers.ZeroPadding2D(padding, name=f"{name}_padding")(x)
        padding = "valid"
    initializers = _initializers(name, initializer)
    return Conv2D(conv.filters, conv.kernel, conv.stride, padding, groups=conv.groups, name=name, **initializers)(x)


def _initializers(name: str, initializer: Initializer) -> dict[str, Any]:
    kernel = {
        "he_normal": keras.initializers.HeNormal,
        "glorot_uniform": keras.initializers.GlorotUniform,
        "normal": lambda: keras.initializers.RandomNormal(stddev=initializer.stddev),
    }[initializer.kind]()
    return {"kernel_initializer": kernel, "bias_initializer": "ones" if name in initializer.bias_ones else "zeros"}
