"""Image sets as `tf.data` pipelines."""

import math
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from alexnet_exp.config.schema import AugmentationConfig
from alexnet_exp.cores import cores
from alexnet_exp.data.augment import DRAWS, augment, crop_corners, is_mirrored, principal_color_components
from alexnet_exp.data.splits import ImageSet, Splits
from alexnet_exp.data.views import Draws, View, cut_view

PARALLEL = min(cores(), 16)  # batches made at once, each of which may wait in memory
COLOR_SAMPLE, COLOR_STRIDE = 1000, 4  # images and steps between their pixels for the principal colour components


def steps_per_epoch(images: Sized, batch_size: int) -> int:
    """Batches in one pass, the last one possibly smaller."""
    return math.ceil(len(images) / batch_size)


@dataclass(frozen=True)
class Feed:
    """What one stage of training reads.

    Attributes:
      train: batches of all epochs of the stage, one epoch after the other, with one-hot labels.
      val: batches of one pass, with one-hot labels.
      test: as `val`, where test accuracy is asked for in each epoch.
      examples: in one pass over `train`.
      steps: batches in one pass over `train`.
    """

    train: tf.data.Dataset
    val: tf.data.Dataset
    test: tf.data.Dataset | None
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
    with_test: bool = False,
) -> Feed:
    """Shuffled, augmented training images and plain images to evaluate on, uint8 `[B, size, size, 3]`.

    Order and pixels depend on the seed, the epoch's number and the example alone.
    """
    images, classes = splits.train, len(splits.class_names)
    augmented = _augmented(images, augmentation, size, seed)
    order = shuffled_order(len(images), batch_size, seed, epochs, augmentation.views)
    train = order.map(
        lambda _, index, draws: (augmented(index, draws), tf.one_hot(tf.gather(images.labels, index), classes)),
        num_parallel_calls=PARALLEL,
        deterministic=True,
    )

    def plain(part: ImageSet) -> tf.data.Dataset:
        pixels = view_batches(part, "center", size, eval_batch_size)
        return tf.data.Dataset.zip(pixels, _one_hot_batches(part.labels, classes, eval_batch_size))

    test = plain(splits.test) if with_test else None
    return Feed(_ahead(train), plain(splits.val), test, len(images), steps_per_epoch(images, batch_size))


def array_feed(
    train: list[np.ndarray],
    views: list[View],
    held_out: list[np.ndarray],
    labels: list[np.ndarray],
    classes: int,
    batch_size: int,
    eval_batch_size: int,
    seed: int,
    epochs: range,
    period: int | None = None,
) -> Feed:
    """Shuffled training rows and rows to evaluate on, of features or activations `[N, ...]`, float32.

    Args:
      train: for each view its rows, in memory or mapped.
      views: which view an example is seen in is decided as the augmentation of the images would.
      held_out: the rows of val, and of test where test accuracy is asked for in each epoch.
      labels: `[N]` of train and of each of `held_out`.
      period: after how many epochs the views repeat, see `shuffled_order`.
    """

    def rows(epoch: tf.Tensor, index: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = _read(_take, [_position(views, epoch, draws), index], train[0].dtype, train[0].shape[1:])
        return tf.cast(chosen, tf.float32), tf.one_hot(tf.gather(labels[0], index), classes)

    def _take(position: np.ndarray, index: np.ndarray) -> np.ndarray:
        batch = np.empty((len(index), *train[0].shape[1:]), train[0].dtype)
        for number, array in enumerate(train):
            batch[position == number] = array[index[position == number]]
        return batch

    def plain(part: np.ndarray, part_labels: np.ndarray) -> tf.data.Dataset:
        def read(index: tf.Tensor) -> tf.Tensor:
            return tf.cast(_read(part.__getitem__, [index], part.dtype, part.shape[1:]), tf.float32)

        chosen = tf.data.Dataset.range(len(part)).batch(eval_batch_size).map(read, PARALLEL)
        return _ahead(tf.data.Dataset.zip(chosen, _one_hot_batches(part_labels, classes, eval_batch_size)))

    order = shuffled_order(len(train[0]), batch_size, seed, epochs, period)
    batches = order.map(rows, num_parallel_calls=PARALLEL, deterministic=True)
    val, *test = map(plain, held_out, labels[1:])
    steps = steps_per_epoch(train[0], batch_size)
    return Feed(_ahead(batches), val, test[0] if test else None, len(train[0]), steps)


def shuffled_order(
    examples: int, batch_size: int, seed: int, epochs: range, period: int | None = None
) -> tf.data.Dataset:
    """For each batch its epoch, the indices of its examples `[B]` and uniform numbers `[B, DRAWS]` for each of them.

    With a `period` the numbers of an example repeat after so many epochs; the order never does.
    """

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(examples), _key(seed, epoch))
        draws = _draws(examples, seed, epoch % period if period else epoch)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.map(lambda index: (epoch, index, tf.gather(draws, index)))

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(one_epoch)


def view_batches(images: ImageSet, view: View, size: int, batch_size: int) -> tf.data.Dataset:
    """One view of all images in order: uint8 `[B, size, size, 3]`."""
    order = tf.data.Dataset.range(len(images)).batch(batch_size)
    if isinstance(view, Draws):
        augmented = _augmented(images, view.augmentation, size, view.seed)
        draws = _draws(len(images), view.seed, view.number)
        batches = order.map(lambda index: augmented(index, tf.gather(draws, index)), PARALLEL)
    else:
        batches = order.map(lambda index: cut_view(_pixels(images, index), view, size), PARALLEL)
    return _ahead(batches)


def _augmented(
    images: ImageSet, augmentation: AugmentationConfig, size: int, seed: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """From indices `[B]` and uniform numbers `[B, DRAWS]` to augmented images uint8 `[B, size, size, 3]`."""
    components = None
    if augmentation.pca_color:
        sample = np.random.default_rng(seed).permutation(len(images))[:COLOR_SAMPLE]
        components = principal_color_components(images.take(np.sort(sample))[:, ::COLOR_STRIDE, ::COLOR_STRIDE])
    margin = images.store.shape[1] - size

    def pixels(index: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        if augmentation.resamples:
            chosen = _pixels(images, index)
        else:
            chosen = _read(images.take_crops, [index, *crop_corners(draws, margin), size], tf.uint8, (size, size, 3))
        return augment(chosen, draws, augmentation, size, components)

    return pixels


def _position(views: list[View], epoch: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """For each example of a batch the position in `views` of the view that it is seen in."""
    if isinstance(views[0], Draws):
        numbers = tf.constant([view.number for view in views if isinstance(view, Draws)], tf.int64)
        number = epoch % (views[0].augmentation.views or 1)
        return tf.fill(tf.shape(draws)[:1], tf.searchsorted(numbers, [number])[0])
    if len(views) == 2:
        return tf.cast(is_mirrored(draws), tf.int32)
    return tf.zeros(tf.shape(draws)[:1], tf.int32)


def _ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps two batches ready.

    Without tf.data's tuner: it sleeps for about as long as it has worked, and to drop a pipeline is to wait for that.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)


def _key(seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])


def _draws(examples: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    return tf.random.stateless_uniform([examples, DRAWS], _key(seed, epoch))


def _one_hot_batches(labels: np.ndarray, classes: int, batch_size: int) -> tf.data.Dataset:
    batches = tf.data.Dataset.from_tensor_slices(labels).batch(batch_size)
    return batches.map(lambda label: tf.one_hot(label, classes))


def _pixels(images: ImageSet, index: tf.Tensor) -> tf.Tensor:
    return _read(images.take, [index], tf.uint8, images.store.shape[1:])


def _read(take: Callable[..., np.ndarray], inputs: list, dtype: Any, shape: tuple[int, ...]) -> tf.Tensor:
    """One batch `[B, *shape]` by a NumPy function, from what may be larger than memory."""
    return tf.ensure_shape(tf.numpy_function(take, inputs, dtype, stateful=False), [None, *shape])
