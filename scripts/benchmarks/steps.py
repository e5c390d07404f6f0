"""A bare training step, the epochs of a fit, and the arithmetic of both."""

import time
from collections.abc import Callable
from math import prod

import keras
import numpy as np
import tensorflow as tf

from alexnet_exp.config import RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.data.batches import Feed, image_feed
from alexnet_exp.model import build_alexnet
from alexnet_exp.training.course import Stage
from alexnet_exp.training.fit import OnEpoch, fit
from alexnet_exp.training.optimizer import build_optimizer
from benchmarks.inputs import photos
from benchmarks.timing import seconds_of


class BareStep:
    """`train_on_batch` on arrays that stay in memory, with the optimizer and the loss that `fit` would take."""

    def __init__(self, config: RunConfig, classes: int):
        self.network = build_alexnet(config.model, classes)
        optimizer = build_optimizer(config.optimizer, config.schedule, config.optimizer.learning_rate, 1, 1)
        self.network.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
        self.batch_size = config.training.batch_size
        images, labels = photos(self.batch_size, config.model.input_size, classes)
        self.images, self.labels = tf.constant(images), tf.one_hot(labels, classes)
        self.network.train_on_batch(self.images, self.labels)  # traces

    def seconds(self, steps: int) -> float:
        """Of one step, the mean of so many."""
        return seconds_of(lambda: [self.network.train_on_batch(self.images, self.labels) for _ in range(steps)]) / steps


def batch_of(config: RunConfig, precision: str) -> str:
    return f"{precision}, batches of {config.training.batch_size}"


def feed_of(config: RunConfig, splits: Splits, epochs: range) -> Feed:
    batch_sizes = config.training.batch_size, config.evaluation.batch_size
    return image_feed(splits, config.augmentation, config.model.input_size, *batch_sizes, config.seed, epochs)


def fit_epoch_seconds(
    network: keras.Model, config: RunConfig, splits: Splits, epochs: int, on_epoch: OnEpoch = lambda *_: None
) -> float:
    """Seconds of an epoch of `fit`, the mean of all but the first, in which it traces.

    The feed has an epoch more, so that the pipeline works until the end.
    """
    ends: list[float] = []

    def record(step: int, metrics: dict[str, float]) -> None:
        on_epoch(step, metrics)
        ends.append(time.perf_counter())

    stage = Stage("fit", range(epochs), config.optimizer.learning_rate)
    feed = feed_of(config, splits, range(epochs + 1))
    fit(network, feed, stage, config.training, config.optimizer, config.schedule, record)
    return (ends[-1] - ends[0]) / (epochs - 1)


def training_flops(network: keras.Model) -> int:
    """Floating-point operations of a training step for one image, in the layers that multiply matrices.

    Two for each multiply-add, forward, backward to the weights, and backward to the inputs but for the first layer.
    """
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    layers = [layer for layer in network.layers if isinstance(layer, kinds)]
    adds = [prod(layer.kernel.shape) * prod(layer.output.shape[1:-1]) for layer in layers]
    return 2 * (3 * sum(adds) - adds[0])


def matrix_product(dtype: str, size: int = 4096) -> Callable[[], float]:
    """A function that multiplies two square matrices and returns FLOP/s, the best of three."""
    left, right = (tf.cast(np.random.default_rng(seed).random((size, size), np.float32), dtype) for seed in (0, 1))
    product = tf.function(tf.matmul)
    product(left, right).numpy()
    return lambda: 2 * size**3 / min(seconds_of(lambda: product(left, right)[0, 0].numpy()) for _ in range(3))
