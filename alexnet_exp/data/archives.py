"""Archives of files, read in place: nothing is unpacked to disk, nothing leads out, and no bomb goes off."""

import posixpath
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

from alexnet_exp.config.schema import Limits
from alexnet_exp.errors import DataError, one_line

HEADER_LIMIT = 1 << 16  # bytes of a .tar's long name or extended header: tarfile reads them as a whole
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
LINK_LIMIT = 4096  # bytes of the target of a link in a .zip

Kind = Literal["file", "link", "device", "other"]
ZIP_KINDS: dict[int, Kind] = {
    stat.S_IFLNK: "link",
    stat.S_IFDIR: "other",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "device",
    stat.S_IFSOCK: "device",
}


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
      name: as it stands in the archive.
      kind: pipes are devices; folders are `other`.
      size: of the unpacked content, in bytes.
      unpacked: bytes to unpack up to the end of this member.
      ratio: of the unpacked to the packed size, of the member or of the archive so far.
      read: gives the content of a file.
      target: of a link, as seen from the archive's root.
    """

    name: str
    kind: Kind
    size: int
    unpacked: int
    ratio: float
    read: Callable[[], bytes]
    target: str = ""


def archive_members(root: Path, limits: Limits) -> Iterator[Member]:
    """Files and harmless links of a .zip or a (compressed) .tar, in the archive's order.

    Raises:
      DataError: when it is damaged or no archive, has absolute names, `..`, links that lead out or device nodes, or
        exceeds the limits.
    """
    try:
        members = _zip_members(root) if zipfile.is_zipfile(root) else _tar_members(root)
        for count, member in enumerate(members, 1):
            if problem := _problem(member, count, limits):
                expected, received = problem
                raise DataError(f"{expected}. Received: {root} with {received}")
            if member.kind in ("file", "link"):
                yield member
    except DataError:
        raise
    except Exception as error:  # zipfile and tarfile raise many kinds for bytes that make no sense
        raise DataError(
            f"dataset.root: expected a folder or a readable .zip or .tar archive. Received: {root} ({one_line(error)})"
        ) from None


def _problem(member: Member, count: int, limits: Limits) -> tuple[str, str] | None:
    """What was expected and what was received instead."""
    if _leads_out(member.name):
        return "dataset.root: expected an archive with names below its root alone", repr(member.name)
    if member.kind == "link" and _leads_out(member.target):
        return "dataset.root: expected an archive without links that lead out", f"{member.name!r} -> {member.target!r}"
    if member.kind == "device":
        return "dataset.root: expected an archive without devices", f"the device or pipe {member.name!r}"
    if count > limits.files:
        return f"dataset.limits.files: expected at most {limits.files} files in an archive", "more"
    if member.unpacked > limits.gigabytes * 1e9:
        return (
            f"dataset.limits.gigabytes: expected at most {limits.gigabytes:g} GB of unpacked files",
            f"{member.unpacked / 1e9:.3g} GB up to {member.name!r}",
        )
    if member.ratio > limits.ratio:
        return (
            f"dataset.limits.ratio: expected files that unpack to at most {limits.ratio:g} times their size",
            f"{member.ratio:.0f} times at {member.name!r}",
        )
    return None


def _leads_out(name: str) -> bool:
    """Whether a name or target is absolute or goes up, in the notation of Unix or of Windows."""
    parts = re.split(r"[/\\]", name)
    return not parts[0] or ".." in parts or (len(parts) > 1 and parts[0].endswith(":"))


def _zip_members(root: Path) -> Iterator[Member]:
    unpacked = 0
    with zipfile.ZipFile(root) as archive:
        for entry in archive.infolist():
            unpacked += entry.file_size  # zipfile reads no more than this
            kind = "other" if entry.is_dir() else ZIP_KINDS.get(stat.S_IFMT(entry.external_attr >> 16), "file")
            ratio = entry.file_size / max(entry.compress_size, 1)
            target = ""
            if kind == "link":
                if entry.file_size > LINK_LIMIT:
                    raise zipfile.BadZipFile(f"the link {entry.filename!r} has a target of {entry.file_size} bytes")
                target = _from_root(entry.filename, archive.read(entry).decode(errors="replace"))
            read = partial(archive.read, entry)
            yield Member(entry.filename, kind, entry.file_size, unpacked, ratio, read, target)


def _tar_members(root: Path) -> Iterator[Member]:
    packed = root.stat().st_size
    with tarfile.open(root, tarinfo=_Header) as archive:
        for entry in archive:
            if entry.size < 0:  # an extended header may say so; tarfile would go back and never end
                raise tarfile.ReadError(f"{entry.name!r} of {entry.size} bytes")
            unpacked = entry.offset_data + entry.size  # all before it has to be unpacked, too
            kind: Kind = "other"
            if entry.isfile():
                kind = "file"
            elif entry.issym() or entry.islnk():
                kind = "link"
            elif entry.isdev():
                kind = "device"
            target = _from_root(entry.name, entry.linkname) if entry.issym() else entry.linkname
            read = partial(_read_tar, archive, entry)
            yield Member(entry.name, kind, entry.size, unpacked, unpacked / max(packed, 1), read, target)
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError(f"a damaged header at byte {archive.offset}")


class _Header(tarfile.TarInfo):
    """The header of a member, refused before tarfile reads or skips what it announces."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in HEADERS and header.size > HEADER_LIMIT):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _read_tar(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    if file is None:
        raise tarfile.ReadError("not a file")
    return file.read()


def _from_root(name: str, target: str) -> str:
    """The target of a symbolic link, as seen from the folder in which the archive would be unpacked."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
