"""Image sets as `tf.data` pipelines."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from alexnet_exp.config.schema import AugmentationConfig
from alexnet_exp.data.augment import DRAWS, augment, principal_color_components
from alexnet_exp.data.splits import ImageSet, Splits
from alexnet_exp.data.views import view

COLOR_SAMPLE = 1000  # images from which the principal colour components are computed


def steps_per_epoch(images: ImageSet, batch_size: int) -> int:
    """Batches in one pass, the last one possibly smaller."""
    return math.ceil(len(images) / batch_size)


@dataclass(frozen=True)
class Feed:
    """What one stage of training reads.

    Attributes:
      train: batches of all epochs of the stage, one epoch after the other, with one-hot labels.
      val: batches of one pass, with one-hot labels.
      examples: in one pass over `train`.
      steps: batches in one pass over `train`.
    """

    train: tf.data.Dataset
    val: tf.data.Dataset
    examples: int
    steps: int


def image_feed(
    splits: Splits,
    augmentation: AugmentationConfig,
    size: int,
    batch_size: int,
    eval_batch_size: int,
    seed: int,
    epochs: range,
) -> Feed:
    """Shuffled, augmented training images and plain validation images, uint8 `[B, size, size, 3]`.

    Order and pixels depend on the seed, the epoch's number and the example alone.
    """
    images, classes = splits.train, len(splits.class_names)
    components = None
    if augmentation.pca_color:
        sample = np.random.default_rng(seed).permutation(len(images))[:COLOR_SAMPLE]
        components = principal_color_components(images.take(np.sort(sample)))

    def load(index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = augment(_pixels(images, index), draws, augmentation, size, components)
        return pixels, tf.one_hot(tf.gather(images.labels, index), classes)

    order = shuffled_order(len(images), batch_size, seed, epochs)
    train = order.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)
    val = labelled_batches(splits.val, classes, size, eval_batch_size)
    return Feed(train, val, len(images), steps_per_epoch(images, batch_size))


def shuffled_order(examples: int, batch_size: int, seed: int, epochs: range) -> tf.data.Dataset:
    """For each batch the indices of its examples `[B]` and uniform numbers `[B, DRAWS]` for each of them."""

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(examples), key)
        draws = tf.random.stateless_uniform([examples, DRAWS], key)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.map(lambda index: (index, tf.gather(draws, index)))

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(one_epoch)


def view_batches(images: ImageSet, name: str, size: int, batch_size: int) -> tf.data.Dataset:
    """One view of all images in order: uint8 `[B, size, size, 3]`."""
    dataset = tf.data.Dataset.range(len(images)).batch(batch_size)
    return dataset.map(lambda index: view(_pixels(images, index), name, size), tf.data.AUTOTUNE).prefetch(2)


def labelled_batches(images: ImageSet, classes: int, size: int, batch_size: int) -> tf.data.Dataset:
    """The centre view of all images in order, with one-hot labels."""
    labels = tf.data.Dataset.from_tensor_slices(images.labels).batch(batch_size)
    return tf.data.Dataset.zip(
        view_batches(images, "center", size, batch_size), labels.map(lambda label: tf.one_hot(label, classes))
    )


def _pixels(images: ImageSet, index: tf.Tensor) -> tf.Tensor:
    """Reads one batch from the store, which may be larger than memory."""
    pixels = tf.numpy_function(images.take, [index], tf.uint8, stateful=False)
    return tf.ensure_shape(pixels, [None, *images.store.shape[1:]])


def array_feed(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    classes: int,
    batch_size: int,
    seed: int,
    epochs: range,
) -> Feed:
    """Shuffled training rows and validation rows of features `[N, D]` with labels `[N]`."""
    features, labels = tf.constant(train[0]), tf.constant(train[1])
    order = shuffled_order(len(train[0]), batch_size, seed, epochs)
    batches = order.map(lambda index, _: (tf.gather(features, index), tf.one_hot(tf.gather(labels, index), classes)))
    held_out = tf.data.Dataset.from_tensor_slices((val[0], tf.one_hot(val[1], classes))).batch(1024)
    return Feed(batches.prefetch(2), held_out, len(train[0]), math.ceil(len(train[0]) / batch_size))
