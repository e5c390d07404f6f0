"""Bytes that mean harm or nothing: an image set, a counted skip or one line, whatever they are.

`ALEXNET_EXP_FAULTS=1000 pytest tests/data/test_hostile.py` tries 1000 of each kind instead of a few.
"""

import io
import logging
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.errors import DataError

SIZE = 16
MEGAPIXELS = 0.01
BASE = compose_config(["dataset=image_folder", "dataset.root=.", f"dataset.limits.megapixels={MEGAPIXELS}"]).dataset
several = settings(
    max_examples=int(os.environ.get("ALEXNET_EXP_FAULTS", "30")),
    deadline=None,
    database=None,
    derandomize="ALEXNET_EXP_FAULTS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


def encoded(kind: str, seed: int = 0, size: int = 20) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    options = {"sizes": [(size, size)]} if kind == "ICO" else {}
    Image.fromarray(pixels).quantize(16).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA", "PCX", "ICO", "JPEG2000", "DDS", "SGI", "QOI")
WHOLE = {kind: encoded(kind) for kind in KINDS}
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes overwritten, cut out, doubled or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        stop = start + draw(st.sampled_from([1, 2, 4, 8, 64, 10_000]))
        what = draw(st.sampled_from(["overwrite", "extreme", "cut", "double"]))
        if what == "overwrite":
            content[start:stop] = draw(st.binary(min_size=1, max_size=8))
        elif what == "extreme":
            content[start:stop] = draw(st.sampled_from([b"\xff", b"\x00", b"\x7f"])) * min(stop - start, 8)
        elif what == "cut":
            del content[start:stop]
        else:
            content[start:start] = content[start : min(stop, start + 64)]
    return bytes(content)


bad_images = st.one_of(st.binary(max_size=100), *(damaged(whole) for whole in WHOLE.values()))


@several
@given(bad_images)
def test_an_image_is_decoded_or_bad(content: bytes) -> None:
    with pixel_limit(MEGAPIXELS):
        try:
            pixels = decode(content, SIZE, "crop")
        except BadImage as error:
            reason = str(error)
        else:
            assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)
            return
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_above_the_limit_is_refused_before_it_is_decoded(kind: str) -> None:
    with pixel_limit(MEGAPIXELS):
        assert decode(WHOLE[kind], SIZE, "crop").shape == (SIZE, SIZE, 3)
        with pytest.raises(BadImage, match="more pixels"):
            decode(encoded(kind, size=101), SIZE, "crop")
        with pytest.raises(BadImage, match="more pixels"):
            decode(encoded(kind, size=150), SIZE, "crop")


def test_postscript_is_not_executed() -> None:
    with pytest.raises(BadImage, match="unknown format"):
        decode(POSTSCRIPT, SIZE, "crop")


def load(root: Path, **changes: object) -> Splits | str:
    """The images of a folder or archive, or the line that says why not; the cache has whole entries alone."""
    config = DatasetConfig(**{**vars(BASE), "root": str(root), **changes})
    with tempfile.TemporaryDirectory() as cache:
        try:
            result: Splits | str = load_splits(config, SIZE, Path(cache))
        except DataError as error:
            result = str(error)
        entries = [path for path in (Path(cache) / "images").glob("*") if path.suffix != ".lock"]
        assert all({path.name for path in entry.iterdir()} == {"index.json", "pixels.npy"} for entry in entries)
    if isinstance(result, str):
        assert result
        assert result.splitlines() == [result]
    else:
        assert len(entries) == 1
    return result


@several
@given(st.lists(bad_images, min_size=1, max_size=4))
def test_a_folder_with_bad_images_is_an_error_or_a_counted_skip(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder, seeds in (("blue", range(4)), ("red", range(4, 8))):
            (root / folder).mkdir()
            for seed in seeds:
                (root / folder / f"{seed}.png").write_bytes(encoded("PNG", seed))
        for number, content in enumerate(contents):
            (root / "red" / f"bad{number}.jpg").write_bytes(content)
        records: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = records.append  # type: ignore[method-assign]
        logger = logging.getLogger("alexnet_exp.data.cache")
        logger.addHandler(handler)
        try:
            strict, lenient = load(root), load(root, on_bad_image="skip")
        finally:
            logger.removeHandler(handler)
        assert isinstance(lenient, Splits)
        skipped = 8 + len(contents) - sum(len(part) for part in (lenient.train, lenient.val, lenient.test))
        assert 0 <= skipped <= len(contents)
        assert isinstance(strict, str) == bool(skipped)
        if skipped:
            (record,) = records
            assert record.getMessage().startswith(f"skipped {skipped} unreadable images")


def tarred(names: list[str], kind: str, types: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=kind) as archive:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = types[number % len(types)], names[number - 1]
            content = encoded("PNG", number) if member.isfile() else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(names: list[str], modes: list[int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(dict.fromkeys(names)):
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, modes[number % len(modes)] << 16
            archive.writestr(member, encoded("PNG", number))
    return buffer.getvalue()


GOOD_NAMES = [f"{folder}/{number}.png" for folder in ("red", "blue") for number in range(4)]
ARCHIVES = {
    "a.zip": zipped(GOOD_NAMES, [0]),
    "a.tar": tarred(GOOD_NAMES, "w", [tarfile.REGTYPE]),
    "a.tar.gz": tarred(GOOD_NAMES, "w:gz", [tarfile.REGTYPE]),
    "a.tar.xz": tarred(GOOD_NAMES, "w:xz", [tarfile.REGTYPE]),
}
odd_names = st.lists(
    st.one_of(
        st.sampled_from(GOOD_NAMES),
        st.lists(
            st.sampled_from(["..", ".", "", "red", "a\\b", "C:", "\n", "\u202e", "é"]), min_size=1, max_size=4
        ).map(lambda parts: "/".join(parts) + "/1.png"),
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=8,
)
tar_types = st.lists(
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"V"]),
    min_size=1,
    max_size=3,
)
zip_modes = st.lists(
    st.sampled_from([0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, 0xFFFF]), min_size=1, max_size=3
)
bad_archives = st.one_of(
    *(st.tuples(st.just(name), damaged(whole)) for name, whole in ARCHIVES.items()),
    st.tuples(st.just("a.tar"), st.builds(tarred, odd_names.map(GOOD_NAMES.__add__), st.just("w"), tar_types)),
    st.tuples(st.just("a.zip"), st.builds(zipped, odd_names.map(GOOD_NAMES.__add__), zip_modes)),
)


@several
@given(bad_archives, st.sampled_from(["error", "skip"]))
def test_an_archive_is_read_or_refused(archive: tuple[str, bytes], on_bad_image: str) -> None:
    name, content = archive
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / name
        root.write_bytes(content)
        result = load(root, on_bad_image=on_bad_image)
        assert list(Path(folder).iterdir()) == [root]
    if isinstance(result, Splits):
        for image in (*result.train.ids, *result.val.ids, *result.test.ids):
            assert not image.startswith("/")
            assert ".." not in image.split("/")


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_whole_archives_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])
    result = load(tmp_path / name)
    assert isinstance(result, Splits)
    assert len(result.train) + len(result.val) + len(result.test) == 8
