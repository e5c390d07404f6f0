"""Images decoded once into a uint8 array on disk, shared by all runs."""

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock

from alexnet_exp.checksums import json_sha256
from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.console import track
from alexnet_exp.cores import cores
from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.data.files import read_images, stat_signature
from alexnet_exp.errors import DataError, one_line

log = logging.getLogger(__name__)
LAYOUT = 3  # part of the key: raise it when decoding or the files' layout change
CHECKED_BYTES = 1 << 28  # of the pixels, when a cache is opened: a quarter of a second; of more, every n-th image

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class DecodedImages:
    """`pixels` is a uint8 memory map `[M, size, size, 3]`; `rows` and `digests` have an entry for each good image."""

    pixels: np.ndarray
    rows: dict[str, int]
    digests: dict[str, str]


def decoded_images(root: Path, names: list[str], size: int, dataset: DatasetConfig, cache: Path) -> DecodedImages:
    """Decodes the named images of `root`, or opens what an earlier run decoded; a damaged cache is made anew.

    Args:
      root: a folder or an archive.
      names: of the images below it.
      size: height and width of the result, in pixels.
      dataset: how to resize, what to do with unreadable images, and the limits.
      cache: the folder below which decoded images are kept.

    Raises:
      DataError: at the first unreadable image when `dataset.on_bad_image` is `error`; with `skip` they are counted and
        logged. Also when the cache cannot be written, as on a full disk.
    """
    identity = [LAYOUT, stat_signature(root, names), names, size, dataset.resize, dataset.limits.megapixels]
    shape = (len(names), size, size, 3)
    folder = cache / "images" / json_sha256(identity)[:32]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            entry = _open(folder, shape)
            if entry is None:
                _decode_into(folder, root, names, shape, dataset)
                entry = _read(folder, shape)
    except (OSError, _Damaged) as error:
        raise DataError(
            f"paths.cache: expected a folder to write images to (ALEXNET_EXP_CACHE). "
            f"Received: {cache} ({one_line(error)})"
        ) from None
    decoded, bad = entry
    if bad:
        first, reason = next(iter(bad.items()))
        if dataset.on_bad_image == "error":
            raise _unreadable(root, first, reason)
        log.warning("skipped %d unreadable images, the first: %s (%s)", len(bad), first, reason)
    return decoded


class _Damaged(ValueError):
    """The files of the cache are not what was written."""


def _open(folder: Path, shape: Shape) -> tuple[DecodedImages, dict[str, str]] | None:
    """An entry of the cache; None where there is none, or a damaged one, which is removed."""
    if not folder.exists():
        return None
    try:
        return _read(folder, shape)
    except (_Damaged, OSError) as error:
        log.warning("the cache %s is damaged (%s): decoding the images again", folder, one_line(error))
        shutil.rmtree(folder)
        return None


def _read(folder: Path, shape: Shape) -> tuple[DecodedImages, dict[str, str]]:
    """The good images, and why the others are bad; pixels are compared with their digests up to `CHECKED_BYTES`."""
    try:
        seal, _, text = (folder / "index.json").read_bytes().partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() != seal:
            raise _Damaged("index.json differs from its checksum")
        index = json.loads(text)
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    except ValueError as error:  # NumPy, for a file that is too short
        raise _Damaged(one_line(error)) from None
    if (pixels.shape, pixels.dtype) != (shape, np.uint8):
        raise _Damaged(f"pixels.npy holds {pixels.dtype} {pixels.shape}")
    good = list(index["rows"])
    for name in good[:: math.ceil(pixels.nbytes / CHECKED_BYTES) or 1]:
        if hashlib.sha256(pixels[index["rows"][name]].data).hexdigest() != index["digests"][name]:
            raise _Damaged(f"the pixels of {name} differ from their checksum")
    return DecodedImages(pixels, index["rows"], index["digests"]), index["bad"]


def _decode_into(folder: Path, root: Path, names: list[str], shape: Shape, dataset: DatasetConfig) -> None:
    """Writes an entry of the cache: all of it, or nothing.

    The pixels are written, not assigned to a memory map: a disk that is full is an error then, and no bus error.
    """
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        partial.mkdir()
        index: dict[str, dict] = {"rows": {}, "digests": {}, "bad": {}}
        with (partial / "pixels.npy").open("wb") as file, pixel_limit(dataset.limits.megapixels):
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            results = track(_decode_all(root, names, shape[1], dataset), f"decoding {root.name}", len(names))
            for row, (name, image) in enumerate(results):
                if isinstance(image, BadImage):
                    if dataset.on_bad_image == "error":
                        raise _unreadable(root, name, str(image))
                    index["bad"][name] = str(image)
                    image = np.zeros(shape[1:], np.uint8)
                else:
                    index["rows"][name] = row
                    index["digests"][name] = hashlib.sha256(image.data).hexdigest()
                file.write(image.data)
            file.flush()
            os.fsync(file.fileno())
        text = json.dumps(index).encode()
        with (partial / "index.json").open("wb") as file:
            file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _decode_all(
    root: Path, names: list[str], size: int, dataset: DatasetConfig
) -> Iterator[tuple[str, np.ndarray | BadImage]]:
    def decode_one(named: tuple[str, bytes | Exception]) -> tuple[str, np.ndarray | BadImage]:
        name, content = named
        if isinstance(content, Exception):
            return name, BadImage(one_line(content))
        try:
            return name, decode(content, size, dataset.resize)
        except BadImage as error:
            return name, error

    with ThreadPoolExecutor(cores()) as pool:
        contents = read_images(root, names, dataset.limits)
        while some := list(islice(contents, 256)):
            yield from pool.map(decode_one, some)


def _unreadable(root: Path, name: str, reason: str) -> DataError:
    return DataError(
        f"{root}: expected readable images (dataset.on_bad_image=skip drops the others). Received: {name} ({reason})"
    )
