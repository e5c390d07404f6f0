"""The cache of decoded images is whole or not there, and is made anew when it was damaged."""

import hashlib
import json
import resource
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from alexnet_exp.checksums import remove_hashed
from alexnet_exp.config.compose import compose_config
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.errors import DataError
from tests.conftest import REPO

SIZE = 64


def splits_of(root: Path, *overrides: str) -> Splits:
    config = compose_config(["dataset=image_folder", f"dataset.root={root}", *overrides])
    return load_splits(config.dataset, SIZE, root.parent / "cache")


def entry_of(photos: Path) -> Path:
    (index,) = (photos.parent / "cache" / "images").glob("*/index.json")
    return index.parent


def left_over(photos: Path) -> list[Path]:
    return [path for path in (photos.parent / "cache" / "images").iterdir() if path.suffix != ".lock"]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def swap_digests(folder: Path) -> None:
    """An index that is whole, but belongs to other pixels."""
    index = json.loads((folder / "index.json").read_text().partition("\n")[2])
    index["rows"] = {name: len(index["rows"]) - 1 - row for name, row in index["rows"].items()}
    text = json.dumps(index)
    (folder / "index.json").write_text(hashlib.sha256(text.encode()).hexdigest() + "\n" + text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "pixels.npy", -5),
        lambda folder: flip(folder / "pixels.npy", 3),
        lambda folder: (folder / "pixels.npy").write_bytes((folder / "pixels.npy").read_bytes()[:-1]),
        lambda folder: np.save(folder / "pixels.npy", np.zeros((2, SIZE, SIZE, 3), np.uint8)),
        lambda folder: (folder / "pixels.npy").unlink(),
        lambda folder: flip(folder / "index.json", 200),
        lambda folder: (folder / "index.json").write_bytes(b""),
        lambda folder: (folder / "index.json").unlink(),
        swap_digests,
    ],
    ids=[
        "pixel", "magic", "truncated", "other shape", "no pixels", "index", "empty index", "no index", "other pixels",
    ],
)  # fmt: skip
def test_a_damaged_entry_is_made_anew(
    photos: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    before = splits_of(photos)
    pixels = before.test.take(slice(None))
    damage(entry_of(photos))
    after = splits_of(photos)
    np.testing.assert_array_equal(after.test.take(slice(None)), pixels)
    assert after.fingerprint == before.fingerprint
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert "\n" not in record.getMessage()
    splits_of(photos)
    assert len(caplog.records) == 1


def test_an_entry_is_decoded_once(photos: Path) -> None:
    splits_of(photos)
    before = (entry_of(photos) / "pixels.npy").stat()
    splits_of(photos)
    assert (entry_of(photos) / "pixels.npy").stat() == before


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(photos: Path) -> None:
    with (
        largest_file(100_000),
        pytest.raises(DataError, match=r"paths\.cache: .*ALEXNET_EXP_CACHE.*File too large") as caught,
    ):
        splits_of(photos)
    assert "\n" not in str(caught.value)
    assert left_over(photos) == []
    splits_of(photos)
    assert [path.name for path in left_over(photos)] == [entry_of(photos).name]


def test_what_a_killed_process_left_is_removed(photos: Path) -> None:
    splits_of(photos)
    entry = entry_of(photos)
    entry.rename(entry.with_suffix(".partial"))
    (entry.with_suffix(".partial") / "index.json").unlink()
    splits_of(photos)
    assert left_over(photos) == [entry]


def test_images_above_the_limit_are_refused_by_their_header(photos: Path) -> None:
    splits_of(photos, "dataset.limits.megapixels=0.002")
    with pytest.raises(DataError, match=r"blue/00\.png \(more pixels than dataset\.limits\.megapixels\)"):
        splits_of(photos, "dataset.limits.megapixels=0.0019")
    splits_of(photos, "dataset.limits.megapixels=0.002")


def test_what_is_being_decoded_is_not_cleared(photos: Path) -> None:
    splits_of(photos)
    entry = entry_of(photos)
    with FileLock(entry.with_suffix(".lock")):
        remove_hashed(entry.parent)
        assert left_over(photos) == [entry]
    remove_hashed(entry.parent)
    assert left_over(photos) == []


def test_the_cache_is_cleared_of_nothing_else(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits_of(photos)
    cache = photos.parent / "cache"
    mine = cache / "images" / "holiday"
    mine.mkdir()
    assert len(left_over(photos)) == 2
    monkeypatch.setattr(sys, "argv", ["cache.py", "--clear", str(cache)])
    runpy.run_path(str(REPO / "scripts" / "cache.py"), run_name="__main__")
    assert left_over(photos) == [mine]
