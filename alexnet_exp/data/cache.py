"""Images decoded once into a uint8 array on disk, shared by all runs."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock

from alexnet_exp.console import track
from alexnet_exp.data.decode import BadImage, Resize, decode
from alexnet_exp.data.files import read_images, stat_signature
from alexnet_exp.errors import DataError

log = logging.getLogger(__name__)
LAYOUT = 2  # part of the key: raise it when decoding or the files' layout change


@dataclass(frozen=True)
class DecodedImages:
    """`pixels` is a uint8 memory map `[M, size, size, 3]`; `rows` and `digests` have an entry for each good image."""

    pixels: np.ndarray
    rows: dict[str, int]
    digests: dict[str, str]


def decoded_images(
    root: Path, names: list[str], size: int, resize: Resize, on_bad_image: str, cache: Path
) -> DecodedImages:
    """Decodes the named images of `root`, or opens what an earlier run decoded.

    Raises:
      DataError: at the first unreadable image when `on_bad_image` is `error`; with `skip` they are counted and logged.
    """
    identity = [LAYOUT, stat_signature(root, names), names, size, resize]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
    folder = cache / "images" / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                _decode_into(folder, root, names, size, resize, on_bad_image)
    except OSError as error:
        raise DataError(
            f"paths.cache: expected a folder to write images to (ALEXNET_EXP_CACHE). Received: {cache} ({error})"
        ) from None
    index = json.loads((folder / "index.json").read_text())
    if index["bad"]:
        first, reason = next(iter(index["bad"].items()))
        if on_bad_image == "error":
            raise _unreadable(root, first, reason)
        log.warning("skipped %d unreadable images, the first: %s (%s)", len(index["bad"]), first, reason)
    return DecodedImages(np.load(folder / "pixels.npy", mmap_mode="r"), index["rows"], index["digests"])


def _decode_into(folder: Path, root: Path, names: list[str], size: int, resize: Resize, on_bad_image: str) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        shape = (len(names), size, size, 3)
        pixels = np.lib.format.open_memmap(partial / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
        index: dict[str, dict] = {"rows": {}, "digests": {}, "bad": {}}
        results = track(_decode_all(root, names, size, resize), f"decoding {root.name}", len(names))
        for row, (name, image) in enumerate(results):
            if isinstance(image, BadImage):
                if on_bad_image == "error":
                    raise _unreadable(root, name, str(image))
                index["bad"][name] = str(image)
                continue
            pixels[row] = image
            index["rows"][name] = row
            index["digests"][name] = hashlib.sha256(image.tobytes()).hexdigest()
        pixels.flush()
        (partial / "index.json").write_text(json.dumps(index))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _decode_all(root: Path, names: list[str], size: int, resize: Resize) -> Iterator[tuple[str, np.ndarray | BadImage]]:
    def decode_one(named: tuple[str, bytes | Exception]) -> tuple[str, np.ndarray | BadImage]:
        name, content = named
        if isinstance(content, Exception):
            return name, BadImage(str(content))
        try:
            return name, decode(content, size, resize)
        except BadImage as error:
            return name, error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = read_images(root, names)
        while some := list(islice(contents, 256)):
            yield from pool.map(decode_one, some)


def _unreadable(root: Path, name: str, reason: str) -> DataError:
    return DataError(
        f"{root}: expected readable images (dataset.on_bad_image=skip drops the others). Received: {name} ({reason})"
    )
