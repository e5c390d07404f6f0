"""Archives that lead out, hold devices, unpack to too much or are damaged are refused in one line."""

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data.files import list_images, read_images
from alexnet_exp.errors import DataError

LIMITS = compose_config([]).dataset.limits
PHOTOS = ("red/0.png", "red/1.png", "blue/0.png", "blue/1.png")


def tar(path: Path, *extra: tuple[tarfile.TarInfo, bytes], kind: str = "w") -> Path:
    with tarfile.open(path, kind) as archive:
        for name in PHOTOS:
            add(archive, tarfile.TarInfo(name), name.encode())
        for member, content in extra:
            add(archive, member, content)
    return path


def add(archive: tarfile.TarFile, member: tarfile.TarInfo, content: bytes = b"") -> None:
    member.size = len(content) or member.size
    archive.addfile(member, io.BytesIO(content) if content else None)


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zipped(path: Path, *extra: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PHOTOS:
            archive.writestr(name, name)
        for member, content in extra:
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return path


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (mode | 0o644) << 16
    return member


TARS = [
    (entry("/etc/evil.png"), "names below its root.*'/etc/evil.png'"),
    (entry("red/../../evil.png"), "names below its root.*'red/../../evil.png'"),
    (entry("..\\evil.png"), "names below its root"),
    (entry("C:\\evil.png"), "names below its root"),
    (entry("red/out.png", tarfile.SYMTYPE, "../../evil.png"), "links that lead out.*'red/out.png' -> '../evil.png'"),
    (entry("red/out.png", tarfile.SYMTYPE, "/etc/passwd"), "links that lead out.*'/etc/passwd'"),
    (entry("red/out.png", tarfile.LNKTYPE, "../evil.png"), "links that lead out"),
    (entry("red/device.png", tarfile.CHRTYPE), "without devices.*'red/device.png'"),
    (entry("red/pipe.png", tarfile.FIFOTYPE), "without devices"),
]
ZIPS = [
    ("/etc/evil.png", b"x", "names below its root"),
    ("red/../../evil.png", b"x", "names below its root"),
    (zip_entry("red/out.png", stat.S_IFLNK), b"../../etc/passwd", "links that lead out.*'../etc/passwd'"),
    (zip_entry("red/out.png", stat.S_IFLNK), b"/" * 5000, "target of 5000 bytes"),
    (zip_entry("red/device.png", stat.S_IFCHR), b"", "without devices"),
]


@pytest.mark.parametrize(("member", "words"), TARS)
def test_what_leads_out_of_a_tar_is_refused(tmp_path: Path, member: tarfile.TarInfo, words: str) -> None:
    refused(tar(tmp_path / "a.tar", (member, b"")), words)


@pytest.mark.parametrize(("member", "content", "words"), ZIPS)
def test_what_leads_out_of_a_zip_is_refused(
    tmp_path: Path, member: zipfile.ZipInfo | str, content: bytes, words: str
) -> None:
    refused(zipped(tmp_path / "a.zip", (member, content)), words)


def refused(path: Path, words: str, **limits: float) -> None:
    for use in (list_images, lambda root, limits: list(read_images(root, PHOTOS, limits))):
        with pytest.raises(DataError, match=words) as caught:
            use(path, replace(LIMITS, **limits))
        assert "\n" not in str(caught.value)


def test_links_that_stay_inside_are_ignored_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inside = (
        (entry("red/2.png", tarfile.SYMTYPE, "../blue/0.png"), b""),
        (entry("red/3.png", tarfile.LNKTYPE, "red/0.png"), b""),
    )
    assert len(list_images(tar(tmp_path / "a.tar", *inside), LIMITS)) == 4
    assert "ignored 2 links in a.tar" in caplog.text


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    zeros = bytes(10_000_000)
    refused(zipped(tmp_path / "a.zip", ("red/bomb.png", zeros)), r"^dataset\.limits\.ratio.*'red/bomb\.png'")
    refused(tar(tmp_path / "a.tar.gz", (entry("red/b.png"), zeros), kind="w:gz"), r"^dataset\.limits\.ratio.*'red/b")
    both = zipped(tmp_path / "b.zip", ("red/b.png", os.urandom(600_000)), ("red/c.png", os.urandom(600_000)))
    refused(both, r"^dataset\.limits\.gigabytes: expected at most 0\.001 GB.*0\.0012 GB", gigabytes=0.001)
    refused(tar(tmp_path / "a.tar"), r"^dataset\.limits\.files: expected at most 3 files", files=3)


def test_a_sparse_file_counts_with_the_size_that_it_unpacks_to(tmp_path: Path) -> None:
    member = entry("red/sparse.png")
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.realsize": str(10**15), "GNU.sparse.size": str(10**15)}
    refused(tar(tmp_path / "a.tar", (member, b"x")), r"^dataset\.limits\.gigabytes: .*1e\+06 GB")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda header: header.replace(b"0000000", b"1234567", 1),  # a damaged header in the middle
        lambda header: b"\xff" * 8 + header[8:],
    ],
)
def test_a_damaged_header_is_not_the_end(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tar(tmp_path / "a.tar")
    content = path.read_bytes()
    path.write_bytes(content[:1024] + spoil(content[1024:1536]) + content[1536:])
    refused(path, "damaged header at byte 1024")


def test_headers_of_tar_that_are_bombs_themselves_are_refused(tmp_path: Path) -> None:
    refused(tar(tmp_path / "a.tar", (entry("red/a.png", tarfile.GNUTYPE_LONGNAME), bytes(100_000))), "header of 100000")
    negative = entry("red/a.png")
    negative.pax_headers = {"size": "-1024"}
    refused(tar(tmp_path / "b.tar", (negative, b"x")), "of -1024 bytes")


def test_files_that_are_no_files_or_too_large_are_unreadable_images(tmp_path: Path) -> None:
    for name in PHOTOS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "red" / "pipe.png")
    (tmp_path / "red" / "endless.png").symlink_to("/dev/zero")
    (tmp_path / "red" / "large.png").write_bytes(bytes(20_000))
    names = [image.name for image in list_images(tmp_path, LIMITS)]
    found = dict(read_images(tmp_path, names, replace(LIMITS, megapixels=0.001)))
    assert found["red/0.png"] == b"x"
    assert {name: str(found[f"red/{name}"]) for name in ("pipe.png", "endless.png", "large.png")} == {
        "pipe.png": "not a regular file",
        "endless.png": "not a regular file",
        "large.png": "20000 bytes, more than an image of dataset.limits.megapixels has",
    }
    packed = zipped(tmp_path / "a.zip", ("red/large.png", os.urandom(20_000)))
    assert "more than" in str(dict(read_images(packed, ["red/large.png"], replace(LIMITS, megapixels=0.001))))


@pytest.mark.parametrize("name", ["two\nlines.png", "not utf-8 \udcff.png"])
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="names in UTF-8") as caught:
        list_images(tar(tmp_path / "a.tar", (entry(f"red/{name}"), b"x")), LIMITS)
    assert str(caught.value).isprintable()
