"""Image files of a folder or an archive of class folders."""

import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from PIL import Image

from alexnet_exp.errors import DataError

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class ImageFile:
    """One image: its name below the root, its class, and the part (train, val, test) where its folder says so."""

    name: str
    class_name: str
    part: str | None


def list_images(root: Path) -> list[ImageFile]:
    """All images in class folders below `root`, sorted by name.

    A folder that holds everything is looked through. When all top folders are named train, val or test (or training,
    valid, validation, testing, in any case), they are the parts and the class folders lie below them.

    Args:
      root: a folder, or a .zip or .tar archive (also compressed).

    Raises:
      DataError: when there are no images, or fewer than two classes.
    """
    paths = sorted(path for name in _names(root) if _is_image(path := PurePosixPath(name)))
    if not paths:
        raise DataError(f"dataset.root: expected images in class folders. Received: {root} with no image")
    depth = _common_depth(paths)
    tops = {path.parts[depth].lower() for path in paths if len(path.parts) > depth + 1}
    has_parts = bool(tops) and tops <= PARTS.keys()
    images = []
    for path in paths:
        folders = path.parts[depth:-1]
        part = PARTS[folders[0].lower()] if has_parts and folders else None
        classes = folders[1:] if part else folders
        if classes:
            images.append(ImageFile(str(path), classes[0], part))
    found = sorted({image.class_name for image in images})
    if len(found) < 2:
        raise DataError(
            f"dataset.root: expected at least two class folders with images. "
            f"Received: {root} with {', '.join(found) or 'images outside of class folders alone'}"
        )
    return images


def read_images(root: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of the named files, in the order in which the archive holds them."""
    wanted = set(names)
    if root.is_dir():
        for name in sorted(wanted):
            yield name, (root / name).read_bytes()
    elif zipfile.is_zipfile(root):
        with zipfile.ZipFile(root) as archive:
            for entry in archive.infolist():
                if entry.filename in wanted:
                    yield entry.filename, archive.read(entry)
    else:
        with tarfile.open(root) as archive:
            for member in archive:
                if member.name in wanted and (file := archive.extractfile(member)):
                    yield member.name, file.read()


def stat_signature(root: Path, names: list[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of the files that hold the images: equal means unchanged."""
    files = [root / name for name in names] if root.is_dir() else [root]
    return [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]


def _names(root: Path) -> list[str]:
    try:
        if root.is_dir():
            walk = os.walk(root, followlinks=True)
            return [(Path(folder) / name).relative_to(root).as_posix() for folder, _, names in walk for name in names]
        if zipfile.is_zipfile(root):
            with zipfile.ZipFile(root) as archive:
                return archive.namelist()
        with tarfile.open(root) as archive:
            return [member.name for member in archive if member.isfile()]
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(
            f"dataset.root: expected a folder or a readable .zip or .tar archive. Received: {root} ({error})"
        ) from None


@cache
def _extensions() -> frozenset[str]:
    return frozenset(Image.registered_extensions())


def _is_image(path: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in _extensions()


def _common_depth(paths: list[PurePosixPath]) -> int:
    """How many leading folders all images share, apart from a part folder or a class folder."""
    shared: list[str] = []
    for names in zip(*(path.parts[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    below = {path.parts[len(shared)] for path in paths if len(path.parts) > len(shared) + 1}
    if not below:
        return max(0, len(shared) - 1)
    return next((depth for depth, name in enumerate(shared) if name.lower() in PARTS), len(shared))
