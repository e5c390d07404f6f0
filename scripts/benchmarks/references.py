"""Against other people's loops: Keras' ImageDataGenerator and PyTorch."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

import keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from alexnet_exp.config.schema import ModelConfig, Preprocess
from alexnet_exp.model import build_alexnet
from alexnet_exp.training.precision import choose_precision
from benchmarks.inputs import CLASSES, composed, generated_splits, network_227, photos
from benchmarks.rows import Measured, NotMeasured, Setting
from benchmarks.steps import BareStep, batch_of, fit_epoch_seconds
from benchmarks.timing import in_turns, median_ratio, medians, seconds_of


def keras_float32(setting: Setting) -> Measured:
    return _image_data_generator(setting, "float32")


def keras_auto(setting: Setting) -> Measured:
    return _image_data_generator(setting, "auto")


def _image_data_generator(setting: Setting, precision: str) -> Measured:
    """Seconds an epoch of `fit` against Keras' own layers, Adam, `fit` and `ImageDataGenerator`, on 32-pixel images.

    Where auto is float32 both rows are one measurement.
    """
    images, classes = (300, 10) if setting.quick else (2000, 10)
    model = ("model=alexnet_cifar", "augmentation=rotate_flip_zoom", "optimizer=adam", "schedule=constant")
    config = composed(setting.folder, *model, "training.batch_size=100", f"training.precision={precision}")
    precision = choose_precision(config.training, config.model, setting.cache)
    measured = setting.folder / f"keras_{precision}.json"
    if measured.exists():
        return Measured(**json.loads(measured.read_text()))
    splits = generated_splits(images, 100, 100, config.model.input_size, classes)
    pixels, labels = splits.train.store, keras.utils.to_categorical(splits.train.labels, classes)
    held_out = splits.val.store, keras.utils.to_categorical(splits.val.labels, classes)

    ours = build_alexnet(config.model, classes)
    theirs = keras.models.clone_model(ours, clone_function=_in_keras)
    adam = keras.optimizers.Adam(config.optimizer.learning_rate)
    theirs.compile(adam, "categorical_crossentropy", metrics=["accuracy"])
    augmented = ImageDataGenerator(rotation_range=2, horizontal_flip=True, zoom_range=0.1)
    generator = augmented.flow(pixels, labels, batch_size=config.training.batch_size)

    def epoch_of_theirs() -> float:
        return seconds_of(lambda: theirs.fit(generator, validation_data=held_out, batch_size=100, verbose=0))

    theirs.fit(
        augmented.flow(pixels[:100], labels[:100], batch_size=100), validation_data=held_out, verbose=0
    )  # traces
    pairs = in_turns(lambda: fit_epoch_seconds(ours, config, splits, 2), epoch_of_theirs, setting.seconds)
    seconds = medians(pairs)
    details = f"{seconds[0]:.1f} against {seconds[1]:.1f} s for {images} images, {batch_of(config, precision)}"
    found = Measured(median_ratio(pairs), details)
    measured.write_text(json.dumps(asdict(found)))
    return found


def _in_keras(layer: keras.Layer) -> keras.Layer:
    """A new layer with the same settings; a convolution is Keras' own."""
    kind = keras.layers.Conv2D if isinstance(layer, keras.layers.Conv2D) else type(layer)
    return kind.from_config(layer.get_config())


def pytorch(setting: Setting) -> Measured:
    """Images/s of a bare training step against the same network in eager PyTorch."""
    if find_spec("torch") is None:
        raise NotMeasured("torch is not installed")
    config = network_227(setting, "optimizer.nesterov=false", "optimizer.weight_decay=0")
    precision = choose_precision(config.training, config.model, setting.cache)
    bare = BareStep(config, CLASSES)
    torch_step, parameters = _torch_step(config.model, config.training.batch_size, precision)
    if parameters != bare.network.count_params():
        raise AssertionError(f"{parameters} parameters in PyTorch, {bare.network.count_params()} here")
    pairs = in_turns(
        lambda: seconds_of(torch_step) + seconds_of(torch_step), lambda: 2 * bare.seconds(2), setting.seconds
    )
    speeds = [2 * config.training.batch_size / seconds for seconds in medians(pairs)]
    details = f"{speeds[1]:.0f} against {speeds[0]:.0f} images/s, {batch_of(config, precision)}"
    return Measured(median_ratio(pairs), details)


def _torch_step(model: ModelConfig, batch_size: int, precision: str) -> tuple[Callable[[], None], int]:
    """A training step in PyTorch, and the number of parameters."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    network = _torch_network(model)
    network(torch.zeros(1, 3, model.input_size, model.input_size))  # gives the dense layers their sizes
    network.to(memory_format=torch.channels_last)
    images, labels = photos(batch_size, model.input_size, CLASSES)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)  # NHWC in memory: channels last
    target = torch.from_numpy(labels).long()
    mean, deviation = _normalization(model.preprocess)

    def forward() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return torch.nn.functional.cross_entropy(network((pixels.float() - mean) / deviation), target)

    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        forward().backward()
        optimizer.step()

    step()
    return step, sum(parameter.numel() for parameter in network.parameters())


def _torch_network(model: ModelConfig) -> Any:
    from torch import nn

    layers: list[Any] = []
    channels = 3
    for name, conv in model.conv.items():
        padding = conv.kernel // 2 if conv.padding == "same" else 0
        layers += [nn.Conv2d(channels, conv.filters, conv.kernel, conv.stride, padding), nn.ReLU()]
        if name in model.pools:
            layers.append(nn.MaxPool2d(model.pool.size, model.pool.stride))
        channels = conv.filters
    layers.append(nn.Flatten())
    for name, units in model.dense.items():
        layers += [nn.LazyLinear(units), nn.ReLU(), nn.Dropout(model.dropout.rates[name])]
    return nn.Sequential(*layers, nn.LazyLinear(CLASSES))


def _normalization(preprocess: Preprocess) -> tuple[Any, Any]:
    """Mean and deviation of 0..255 pixels, `[3, 1, 1]`."""
    import torch

    mean, deviation = (
        torch.tensor(values)[:, None, None] / preprocess.scale for values in (preprocess.mean, preprocess.std)
    )
    return mean, deviation
