"""Image files of a folder or an archive of class folders."""

import logging
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from alexnet_exp.config.schema import Limits
from alexnet_exp.data.archives import Member, archive_members
from alexnet_exp.data.decode import extensions
from alexnet_exp.errors import UNPRINTABLE, DataError, printable

log = logging.getLogger(__name__)

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
BYTES_PER_PIXEL = 16  # of the largest pixels, four 32-bit channels: a file with more than that is no image


@dataclass(frozen=True)
class ImageFile:
    """One image: its name below the root, its class, and the part (train, val, test) where its folder says so."""

    name: str
    class_name: str
    part: str | None


def list_images(root: Path, limits: Limits) -> list[ImageFile]:
    """All images in class folders below `root`, sorted by name.

    A folder that holds everything is looked through. When all top folders are named train, val or test (or training,
    valid, validation, testing, in any case), they are the parts and the class folders lie below them.

    Args:
      root: a folder, or a .zip or .tar archive (also compressed).
      limits: of an archive.

    Raises:
      DataError: when there are no images, fewer than two classes, or part folders beside others, and when a folder
        cannot be read or an archive is damaged or refused.
    """
    names = sorted({posixpath.normpath(name) for name in _names(root, limits)})
    paths = [path for name in names if _is_image(path := PurePosixPath(name))]
    if odd := next((str(path) for path in paths if UNPRINTABLE.search(str(path))), None):
        raise DataError(f"dataset.root: expected names in UTF-8 without control characters. Received: {odd!r}")
    if not paths:
        raise DataError(f"dataset.root: expected images in class folders. Received: {root} with no image")
    depth = _common_depth(paths)
    has_parts = _has_parts(root, {path.parts[depth] for path in paths if len(path.parts) > depth + 1})
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
            f"Received: {root} with {', '.join(found) or 'images, but no class folders'}"
        )
    _log_ignored(names, len(paths) - len(images))
    return images


def read_images(root: Path, names: Iterable[str], limits: Limits) -> Iterator[tuple[str, bytes | Exception]]:
    """Yields (name, content or why it cannot be read) of the named files, in the order of the archive.

    Raises:
      DataError: when the archive itself is damaged or refused.
    """
    if root.is_dir():
        for name in sorted(names):
            yield name, read_image(root / name, limits.megapixels)
        return
    most = int(limits.megapixels * 1e6 * BYTES_PER_PIXEL)
    wanted = set(names)
    for member in archive_members(root, limits):
        if member.kind == "file" and (name := posixpath.normpath(member.name)) in wanted:
            wanted.remove(name)
            yield name, _content(partial(_read_member, member, most))
    for name in sorted(wanted):
        yield name, FileNotFoundError("no longer in the archive")


def walk_images(folder: Path) -> Iterator[str]:
    """Names of the images below a folder, sorted folder by folder, without the hidden ones.

    Raises:
      DataError: when a folder in it cannot be read.
    """
    return (name for name in _walk(folder, "", frozenset()) if _is_image(PurePosixPath(name)))


def read_image(path: Path, megapixels: float) -> bytes | Exception:
    """The content of a regular file that an image of so many pixels can have, or why it cannot be read."""
    return _content(partial(_read_file, path, int(megapixels * 1e6 * BYTES_PER_PIXEL)))


def stat_signature(root: Path, names: list[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of the files that hold the images: equal means unchanged."""
    files = [root / name for name in names] if root.is_dir() else [root]
    stats = [(file, file.stat() if file.exists() else file.lstat()) for file in files]
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]


def _content(read: Callable[[], bytes]) -> bytes | Exception:
    try:
        return read()
    except Exception as error:  # zipfile and tarfile raise many kinds for bytes that make no sense
        return error


def _read_file(path: Path, most: int) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device may never end
        raise OSError("not a regular file")
    _check_size(status.st_size, most)
    return path.read_bytes()


def _read_member(member: Member, most: int) -> bytes:
    _check_size(member.size, most)
    return member.read()


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise OSError(f"{size} bytes, more than an image of dataset.limits.megapixels has")


def _names(root: Path, limits: Limits) -> list[str]:
    if root.is_dir():
        return list(_walk(root, "", frozenset()))
    names: dict[str, list[str]] = {"file": [], "link": []}
    for member in archive_members(root, limits):
        names[member.kind].append(member.name)
    if names["link"]:
        log.warning("ignored %d links in %s", len(names["link"]), root.name)
    return names["file"]


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[str]:
    """Files below a folder. Links to folders are followed, but not back into one that they lie in."""
    above |= {os.path.realpath(folder)}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"expected a folder that can be read. Received: {folder} ({error.strerror})") from None
    for entry in entries:
        if not entry.is_dir():
            yield prefix + entry.name
        elif os.path.realpath(entry.path) not in above:
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _is_image(path: PurePosixPath) -> bool:
    return not _is_hidden(path) and path.suffix.lower() in extensions()


def _has_parts(root: Path, tops: set[str]) -> bool:
    parts = {top for top in tops if top.lower() in PARTS}
    if len(parts) > 1 and parts != tops:
        raise DataError(
            f"dataset.root: expected train, val and test folders alone, or class folders alone. "
            f"Received: {root} with {', '.join(sorted(parts))} beside {', '.join(sorted(tops - parts))}"
        )
    return bool(tops) and parts == tops


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


def _log_ignored(names: list[str], outside: int) -> None:
    others = [path for name in names if not _is_image(path := PurePosixPath(name)) and not _is_hidden(path)]
    kinds = Counter(printable(path.suffix.lower()) or "no extension" for path in others)
    if kinds:
        log.warning("ignored files that are not images: %s", ", ".join(f"{n} {kind}" for kind, n in kinds.items()))
    if outside:
        log.warning("ignored %d images outside of class folders", outside)
