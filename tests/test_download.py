"""Downloads from a real local server: whole, resumed, broken off, wrong, missing."""

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alexnet_exp.download import fetch
from alexnet_exp.errors import UserError

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    ranges: list[str | None] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.path != "/no_ranges" else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            first = 0 if self.path == "/other_ranges" else start
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        body = CONTENT[start : start + 100] if self.path == "/caps_ranges" else CONTENT[start:]
        self.send_header("Content-Length", "many" if self.path == "/no_length" else str(len(body)))
        self.end_headers()
        if self.path == "/stalls" and not start:
            self.wfile.write(body[:5000])
            self.wfile.flush()
            time.sleep(1)
            return
        if self.path == "/slow":
            self.wfile.write(body[:1000])
            time.sleep(0.5)
            body = body[1000:]
        self.wfile.write(body[: len(body) // 2] if self.path == "/breaks_off" and not start else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.ranges = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def left(folder: Path) -> list[str]:
    """What a download leaves, but for the empty file that processes take turns by."""
    return [file.name for file in folder.iterdir() if file.suffix != ".lock"]


def test_a_missing_file_is_downloaded_and_verified_once(server: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "weights.bin"
    for _ in range(2):
        assert fetch(path, f"{server}/file", f"sha256:{SHA256[:8]}").read_bytes() == CONTENT
    assert len(Server.ranges) == 1
    assert left(path.parent) == ["weights.bin"]
    assert fetch(tmp_path / "other.bin", f"{server}/no_length", f"sha256:{SHA256}").read_bytes() == CONTENT


def test_of_two_that_want_it_at_once_one_downloads(server: str, tmp_path: Path) -> None:
    def wanted(_: int) -> bytes:
        return fetch(tmp_path / "weights.bin", f"{server}/slow", f"sha256:{SHA256[:8]}").read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(wanted, range(2))) == [CONTENT, CONTENT]
    assert Server.ranges == [None]


@pytest.mark.parametrize("address", ["breaks_off", "no_ranges", "other_ranges"])
def test_a_download_that_broke_off_resumes_or_starts_over(server: str, tmp_path: Path, address: str) -> None:
    path = tmp_path / "weights.bin"
    with pytest.raises(UserError, match="run again to resume"):
        fetch(path, f"{server}/breaks_off", None)
    assert not path.exists()
    assert fetch(path, f"{server}/{address}", f"sha256:{SHA256}").read_bytes() == CONTENT
    assert Server.ranges[1] == f"bytes={len(CONTENT) // 2}-"


def test_a_part_of_what_was_asked_for_is_not_all(server: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin.part").write_bytes(CONTENT[:1000])
    with pytest.raises(UserError, match=f"after 1100 of {len(CONTENT)} bytes; run again to resume"):
        fetch(tmp_path / "weights.bin", f"{server}/caps_ranges", None)
    assert left(tmp_path) == ["weights.bin.part"]


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 5])
def test_what_is_there_of_a_download_is_taken_only_where_it_is_all(server: str, tmp_path: Path, size: int) -> None:
    (tmp_path / "weights.bin.part").write_bytes((CONTENT + CONTENT)[:size])
    assert fetch(tmp_path / "weights.bin", f"{server}/file", None).read_bytes() == CONTENT
    assert len(Server.ranges) == (1 if size == len(CONTENT) else 2)


def test_a_download_that_stalls_keeps_what_has_arrived(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexnet_exp.download.TIMEOUT", 0.2)
    with pytest.raises(UserError, match="timed out"):
        fetch(tmp_path / "weights.bin", f"{server}/stalls", None)
    assert fetch(tmp_path / "weights.bin", f"{server}/stalls", f"sha256:{SHA256}").read_bytes() == CONTENT
    assert Server.ranges == [None, "bytes=5000-"]


def test_a_folder_is_no_file(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Received: a folder"):
        fetch(tmp_path, f"{server}/file", None)
    assert Server.ranges == []


def test_a_wrong_checksum_leaves_nothing(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the sha1 checksum 00000000"):
        fetch(tmp_path / "weights.bin", f"{server}/file", "sha1:00000000")
    assert left(tmp_path) == []


def test_a_present_file_with_a_wrong_checksum_is_kept_but_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"weights\.bin: expected the sha256 checksum"):
        fetch(path, None, f"sha256:{SHA256}")
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("address", ["/missing", ":1/closed", ":1/\xe9", "." + 64 * "x"])
def test_what_cannot_be_had_names_the_file_to_put_there(server: str, tmp_path: Path, address: str) -> None:
    url = server + address if address.startswith("/") else f"http://127.0.0.1{address}"
    with pytest.raises(UserError, match=r"expected a file at .*weights\.bin: put it there, from http://127"):
        fetch(tmp_path / "weights.bin", url, None)
    assert left(tmp_path) == []
