"""Batches depend on seed, epoch and example alone; each transformation does what its name says."""

import time

import numpy as np
import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data.augment import DRAWS, augment, principal_color_components
from alexnet_exp.data.batches import array_feed, image_feed, shuffled_order, steps_per_epoch
from alexnet_exp.data.splits import ImageSet, Splits, load_splits
from alexnet_exp.data.views import cut_view, view_names

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 12, 12, 3), dtype=np.uint8)
MIDDLE = np.full((3, DRAWS), 0.5, np.float32)  # no rotation, shear, zoom or shift


def augmented(draws: np.ndarray, *overrides: str, size: int = 12, images: np.ndarray = IMAGES) -> np.ndarray:
    config = compose_config([f"augmentation.{word}" for word in overrides]).augmentation
    components = principal_color_components(images)
    return np.asarray(augment(images, draws, config, size, components))


def test_no_augmentation_changes_nothing() -> None:
    np.testing.assert_array_equal(augmented(MIDDLE), IMAGES)


def test_flip_mirrors_the_images_whose_number_is_small() -> None:
    draws = MIDDLE.copy()
    draws[:, 0] = [0.2, 0.7, 0.4]
    result = augmented(draws, "flip=true")
    np.testing.assert_array_equal(result[0], IMAGES[0, :, ::-1])
    np.testing.assert_array_equal(result[1], IMAGES[1])
    np.testing.assert_array_equal(result[2], IMAGES[2, :, ::-1])


def test_random_crop_takes_every_corner() -> None:
    draws = MIDDLE.copy()
    draws[:, 7], draws[:, 8] = [0.0, 0.999, 0.999], [0.0, 0.0, 0.999]
    result = augmented(draws, size=8)
    np.testing.assert_array_equal(result[0], IMAGES[0, :8, :8])
    np.testing.assert_array_equal(result[1], IMAGES[1, 4:, :8])
    np.testing.assert_array_equal(result[2], IMAGES[2, 4:, 4:])


def test_rotation_by_half_a_turn() -> None:
    draws = MIDDLE.copy()
    draws[:, 1] = 1.0
    np.testing.assert_array_equal(augmented(draws, "rotation=180"), IMAGES[:, ::-1, ::-1])


def test_shift_moves_and_repeats_the_edge() -> None:
    draws = MIDDLE.copy()
    draws[:, 5] = 1.0  # three pixels to the left
    result = augmented(draws, "shift=0.25")
    np.testing.assert_array_equal(result[:, :, :9], IMAGES[:, :, 3:])
    np.testing.assert_array_equal(result[:, :, 9], IMAGES[:, :, 11])


def test_zoom_and_shear_keep_the_centre() -> None:
    grid = np.zeros((1, 13, 13, 3), np.uint8)
    grid[0, 6, 6] = 255
    draws = np.full((1, DRAWS), 0.5, np.float32)
    draws[:, [2, 3, 4]] = 1.0
    for word in ("zoom=0.3", "shear=0.3"):
        assert augmented(draws, word, size=13, images=grid)[0, 6, 6, 0] == 255


def test_zoom_and_shear_by_hand() -> None:
    ramp = np.broadcast_to(10 * np.arange(13, dtype=np.uint8)[None, None, :, None], (1, 13, 13, 3))
    draws = np.full((1, DRAWS), 0.5, np.float32)
    draws[:, 3] = 1.0  # half as wide: the result steps over the source by 1.5 pixels
    np.testing.assert_array_equal(
        augmented(draws, "zoom=0.5", size=13, images=ramp)[0, 0, 4:9, 0], [30, 45, 60, 75, 90]
    )
    draws[:, 2:4] = 1.0, 0.5  # x moves by -sin(shear) for each row below the centre
    rows = augmented(draws, "shear=0.5", size=13, images=ramp)[0, 4:9, 6, 0].astype(int)
    np.testing.assert_allclose(rows, 60 - 10 * np.sin(0.5) * np.arange(-2, 3), atol=1)


def test_colour_noise_is_finite_at_the_ends() -> None:
    draws = MIDDLE.copy()
    draws[:, 9:] = 0.0
    difference = augmented(draws, "pca_color=0.01", images=np.clip(IMAGES, 100, 150)).astype(int) - np.clip(
        IMAGES, 100, 150
    )
    assert np.abs(difference).max() < 50


def test_color_noise_moves_all_pixels_of_an_image_alike() -> None:
    images = np.clip(IMAGES, 60, 190)
    draws = MIDDLE.copy()
    draws[0, 9:] = [0.9, 0.2, 0.8]
    difference = augmented(draws, "pca_color=0.1", images=images).astype(int) - images
    assert np.ptp(difference[0].reshape(-1, 3), axis=0).max() == 0
    assert np.abs(difference[0]).max() > 0
    assert not difference[1:].any()


@pytest.fixture(scope="module")
def splits() -> Splits:
    images = RNG.integers(0, 256, (50, 12, 12, 3), dtype=np.uint8)
    names = [str(number) for number in range(50)]
    part = ImageSet(images, np.arange(50), np.arange(50, dtype=np.int32) % 5, names, names)
    return Splits(part, part, part, list("abcde"))


def batches(splits: Splits, epochs: range, batch_size: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    config = compose_config(["augmentation=shear_zoom_flip"]).augmentation
    feed = image_feed(splits, config, 12, batch_size, 16, seed, epochs)
    images, labels = zip(*feed.train.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_every_epoch_has_every_example_once_in_a_new_order(splits: Splits) -> None:
    _, labels = batches(splits, range(2))
    assert len(labels) == 100
    np.testing.assert_array_equal(labels[:50].sum(axis=0), [10] * 5)
    assert (labels[:50] != labels[50:]).any()


def test_a_later_epoch_is_the_same_when_started_from(splits: Splits) -> None:
    images, labels = batches(splits, range(3))
    resumed_images, resumed_labels = batches(splits, range(2, 3))
    np.testing.assert_array_equal(images[100:], resumed_images)
    np.testing.assert_array_equal(labels[100:], resumed_labels)


def test_pixels_do_not_depend_on_the_batch_size(splits: Splits) -> None:
    np.testing.assert_array_equal(batches(splits, range(1))[0], batches(splits, range(1), batch_size=50)[0])


def test_another_seed_gives_other_pixels(splits: Splits) -> None:
    assert (batches(splits, range(1))[0] != batches(splits, range(1), seed=1)[0]).any()


def test_random_crops_are_those_of_the_resampling_transformation(splits: Splits) -> None:
    config = compose_config(["augmentation.flip=true"]).augmentation
    feed = image_feed(splits, config, 8, 50, 16, 3, range(1))
    images, _ = next(feed.train.as_numpy_iterator())
    _, index, draws = next(shuffled_order(50, 50, 3, range(1)).as_numpy_iterator())
    np.testing.assert_array_equal(images, augment(splits.train.take(index), draws, config, 8))
    assert len({crop.tobytes() for crop in images}) == 50


def test_the_draws_repeat_after_as_many_epochs_as_there_are_views(splits: Splits) -> None:
    config = compose_config(["augmentation=shear_zoom_flip", "augmentation.views=2"]).augmentation
    feed = image_feed(splits, config, 12, 50, 16, 0, range(4))
    epochs = [images[np.argsort(labels.argmax(axis=1))] for images, labels in feed.train.as_numpy_iterator()]
    as_sets = [{image.tobytes() for image in images} for images in epochs]
    assert as_sets[0] == as_sets[2] != as_sets[1] == as_sets[3]


def test_validation_reads_val_in_order(splits: Splits) -> None:
    other = splits.val.subset(np.arange(7))
    config = compose_config([]).augmentation
    feed = image_feed(Splits(splits.train, other, splits.test, splits.class_names), config, 12, 8, 4, 0, range(1))
    images, labels = zip(*feed.val.as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.concatenate(images), other.take(slice(None)))
    np.testing.assert_array_equal(np.concatenate(labels).argmax(axis=1), other.labels)


def test_who_drops_a_pipeline_does_not_wait_for_it(splits: Splits) -> None:
    config = compose_config([]).augmentation
    feed = image_feed(splits, config, 12, 8, 4, 0, range(9), with_test=True)
    rows = np.zeros((8, 3), np.float32)
    kept = array_feed([rows], ["center"], [rows, rows], [np.zeros(8, int)] * 3, 2, 4, 4, 0, range(9))
    for dataset in (feed.train, feed.val, feed.test, kept.train, kept.val, kept.test):
        iterator = iter(dataset)
        next(iterator)
        time.sleep(0.8)  # tf.data's tuner would sleep for another half second
        started = time.perf_counter()
        del iterator
        assert time.perf_counter() - started < 0.3


def test_steps_count_the_last_smaller_batch(splits: Splits) -> None:
    assert steps_per_epoch(splits.train, 8) == 7


def test_views() -> None:
    assert view_names("center") == ["center"]
    assert len(view_names("ten_crop")) == 10
    np.testing.assert_array_equal(cut_view(IMAGES, "center", 8), IMAGES[:, 2:10, 2:10])
    np.testing.assert_array_equal(cut_view(IMAGES, "bottom left", 8), IMAGES[:, 4:, :8])
    np.testing.assert_array_equal(cut_view(IMAGES, "top right mirrored", 8), IMAGES[:, :8, 4:][:, :, ::-1])


def test_digits_feed_has_one_hot_labels_and_uint8_pixels(tmp_path) -> None:
    config = compose_config([])
    splits = load_splits(config.dataset, 32, tmp_path)
    feed = image_feed(splits, config.augmentation, 32, 32, 64, 0, range(1))
    images, labels = next(feed.train.as_numpy_iterator())
    assert images.dtype == np.uint8
    assert images.shape == (32, 32, 32, 3)
    np.testing.assert_array_equal(labels.sum(axis=1), np.ones(32))
