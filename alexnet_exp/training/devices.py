"""Training on several GPUs at once, or on a processor divided into several: each batch is divided among them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import keras
import tensorflow as tf

from alexnet_exp.config.schema import TrainingConfig
from alexnet_exp.data.batches import PARALLEL, Feed
from alexnet_exp.errors import DeviceError

log = logging.getLogger(__name__)


def choose_devices(training: TrainingConfig) -> list[str]:
    """Settles `auto`, and makes TensorFlow see as many devices as are to train.

    `auto` is all GPUs, but not more than a batch has examples; without a GPU it is one device. More than one without a
    GPU are parts of the processor.

    Returns:
      TensorFlow's names of the devices: `GPU:0`, `GPU:1`, ...

    Raises:
      DeviceError: when there are fewer than asked for, or the process has begun with another number of them.
    """
    gpus = tf.config.list_physical_devices("GPU")
    kind = "GPU" if gpus else "CPU"
    count: int = max(1, min(len(gpus), training.batch_size)) if training.devices == "auto" else training.devices
    if gpus and count > len(gpus):
        raise DeviceError(
            f"training.devices: expected at most {len(gpus)}, the GPUs of this machine. "
            f"Options: {', '.join(map(str, ['auto', *range(1, len(gpus) + 1)]))}. Received: {count}"
        )
    try:
        if count > 1 and gpus:
            tf.config.set_visible_devices(gpus[:count], "GPU")
        elif count > 1:
            parts = [tf.config.LogicalDeviceConfiguration()] * count
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError:
        options = sorted({1, len(tf.config.list_logical_devices(kind))})
        raise DeviceError(
            "training.devices: expected the number that this process has begun with, or 1: TensorFlow settles its "
            f"devices once (a sweep over numbers takes a command for each). "
            f"Options: {', '.join(map(str, options))}. Received: {count}"
        ) from None
    return [f"{kind}:{number}" for number in range(count)]


@contextmanager
def mirrored(network: keras.Model, feed: Feed, devices: list[str]) -> Iterator[tuple[keras.Model, Feed]]:
    """What is to be compiled and fitted in place of a network, so that all devices train it.

    Each device has a copy of the network and takes an equal part of each batch; the gradient is that of the whole
    batch. Batch normalisation takes the statistics of a device's part, and keeps their mean over the devices.

    Args:
      network: is not touched by the devices; it has the trained weights when the context ends.
      feed: its batches are divided, their size is that of all devices together.
      devices: with one, network and feed are given back as they are.
    """
    if len(devices) == 1:
        yield network, feed
        return
    log.info("trains on %d devices: %s", len(devices), ", ".join(devices))
    with _strategy(tuple(devices)).scope():
        copy = keras.models.clone_model(network)
        _copy_weights(network, copy)
        train = feed.train.map(lambda images, labels: _divisible(images, labels, len(devices)), PARALLEL)
        test = feed.test and _unsharded(feed.test)
        yield copy, replace(feed, train=_unsharded(train.prefetch(2)), val=_unsharded(feed.val), test=test)
    _copy_weights(copy, network)


@cache
def _strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One for the whole process: the gradients of a second would be exchanged under the keys of the first."""
    return tf.distribute.MirroredStrategy(devices)


def _divisible(images: tf.Tensor, labels: tf.Tensor, devices: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Repeats examples with weight 0 until all devices get equally many; the others weigh so much more.

    Keras gives each device the same say in the gradient, however many examples it has, and the statistics of no
    examples are not a number: the last batch of an epoch is the one that needs it.
    """
    examples = tf.shape(labels)[0]
    places = -(-examples // devices) * devices
    index = tf.range(places)
    weights = tf.where(index < examples, tf.cast(places / examples, tf.float32), 0.0)
    return tf.gather(images, index % examples), tf.gather(labels, index % examples), weights


def _unsharded(batches: tf.data.Dataset) -> tf.data.Dataset:
    """One process reads for all devices: there is nothing to divide but the batches."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Layer by layer, as saving and loading do it: a layer may keep more than its variables."""
    for layer, twin in zip(source.layers, target.layers, strict=True):
        variables: dict = {}
        layer.save_own_variables(variables)
        twin.load_own_variables(variables)
