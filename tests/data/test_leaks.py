"""Images in more than one part are counted and named, also those that were changed a little."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.data.leaks import perceptual_hashes, same_images, similar_images
from alexnet_exp.errors import DataError

NUMBERS = {"train": range(6), "val": range(6, 8), "test": range(8, 12)}


def smooth(seed: int) -> Image.Image:
    """A picture with structure, as photos have; white noise has no low frequencies to recognise it by."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 96, 3)), (8, 8, 0))
    return Image.fromarray(np.uint8(255 * (field - field.min()) / np.ptp(field)))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Train, val and test folders of two classes, without a common image."""
    root = tmp_path / "parts"
    for part, numbers in NUMBERS.items():
        for offset, name in enumerate(("blue", "red")):
            (root / part / name).mkdir(parents=True)
            for number in numbers:
                smooth(2 * number + offset).save(root / part / name / f"{number:02d}.png")
    return root


def splits_of(root: Path, *overrides: str) -> Splits:
    config = compose_config(["dataset=image_folder", f"dataset.root={root}", *overrides])
    return load_splits(config.dataset, 48, root.parent / "cache")


def copy(root: Path, source: str, target: str) -> None:
    (root / target).write_bytes((root / source).read_bytes())


def test_parts_without_a_common_image_are_quiet(parts: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits_of(parts, "dataset.on_leak=error", "dataset.near_duplicates=4")
    assert not caplog.records


def test_each_two_parts_are_compared(parts: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy(parts, "train/red/00.png", "val/blue/00.png")
    copy(parts, "val/red/06.png", "test/red/06.png")
    for number in range(5):
        copy(parts, f"train/blue/0{number}.png", f"test/blue/0{number}.png")
    splits_of(parts)
    (record,) = caplog.records
    assert record.getMessage() == (
        "parts with common images: "
        "1 of 5 val images the same as one in train (val/blue/00.png = train/red/00.png); "
        "5 of 14 test images the same as one in train (test/blue/00.png = train/blue/00.png, "
        "test/blue/01.png = train/blue/01.png, test/blue/02.png = train/blue/02.png, ...); "
        "1 of 14 test images the same as one in val (test/red/06.png = val/red/06.png)"
    )
    with pytest.raises(DataError, match=r"dataset\.on_leak=warn.* Received: 1 of 5 val .* 1 of 14 test") as caught:
        splits_of(parts, "dataset.on_leak=error")
    assert "\n" not in str(caught.value)


def test_changed_copies_are_found_on_request(parts: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = Image.open(parts / "train/red/01.png")
    image.save(parts / "test/red/compressed.jpg", quality=60)
    ImageEnhance.Brightness(image).enhance(0.8).resize((70, 70)).save(parts / "test/red/darker.png")
    splits_of(parts)
    assert not caplog.records
    with pytest.raises(
        DataError,
        match=r"Received: 2 of 10 test images nearly the same as one in train "
        r"\(test/red/compressed\.jpg = train/red/01\.png, test/red/darker\.png = train/red/01\.png\)$",
    ):
        splits_of(parts, "dataset.on_leak=error", "dataset.near_duplicates=4")


def test_hashes_are_compared_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    hashes, others = rng.integers(0, 2**63, 300, dtype=np.uint64), rng.integers(0, 2**63, 50, dtype=np.uint64)
    hashes[7], hashes[299] = others[3] ^ np.uint64(0b10101), others[49]
    assert similar_images(hashes, others, 2) == {299: 49}
    assert similar_images(hashes, others, 3) == {7: 3, 299: 49}
    distances = [min(int(a ^ b).bit_count() for b in others) for a in hashes]
    expected = [index for index, distance in enumerate(distances) if distance <= 16]
    assert list(similar_images(hashes, others, 16)) == expected
    assert len(expected) > 2


def test_hashes_follow_the_rows_and_flat_images_are_alike() -> None:
    flat = [np.full((40, 40, 3), level, np.uint8) for level in (0, 77, 255)]
    store = np.stack([*flat, *(np.asarray(smooth(seed).resize((40, 40))) for seed in range(3))])
    hashes = perceptual_hashes(store, np.array([5, 4, 3, 2, 1]))
    assert hashes[3] == hashes[4]
    assert len(set(hashes[:4].tolist())) == 4
    np.testing.assert_array_equal(perceptual_hashes(store, np.array([3])), hashes[2:3])


def test_same_images_by_digest() -> None:
    assert same_images(["a", "b", "c"], ["c", "x", "a"]) == {0: 2, 2: 0}


def test_the_fingerprint_changes_with_one_label_and_with_one_pixel(parts: Path) -> None:
    splits = splits_of(parts)
    labels = splits.val.labels.copy()
    labels[0] = 1 - labels[0]
    assert replace(splits, val=replace(splits.val, labels=labels)).fingerprint != splits.fingerprint
    (parts / "train/red/00.png").rename(parts / "train/blue/99.png")
    moved = splits_of(parts)
    assert moved.fingerprint != splits.fingerprint
    image = Image.open(parts / "test/red/08.png").resize((48, 48))
    image.save(parts / "test/red/08.png")
    before = splits_of(parts).fingerprint
    image.putpixel((3, 4), (255, 255, 255))
    image.save(parts / "test/red/08.png")
    assert splits_of(parts).fingerprint != before
