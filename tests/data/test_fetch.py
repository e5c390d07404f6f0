"""Lists of addresses against a real local server that is good, slow, dead, endless, redirecting, broken or wrong."""

import csv
import http.server
import io
import itertools
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data.fetch import Collection, fetch_images, read_lists
from alexnet_exp.data.files import list_images
from alexnet_exp.data.request import Limits
from alexnet_exp.errors import DataError
from tests.conftest import REPO

LIMITS = compose_config([]).dataset.limits

LIMITS = Limits(
    total=12,
    per_host=4,
    connect=2,
    read=0.5,
    whole=0.8,
    attempts=3,
    backoff=0.05,
    patience=5,
    redirects=3,
    size=200_000,
)
PIXELS = 1_000_000


def encoded(seed: int, kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def blank(edge: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (edge, edge)).save(buffer, "PNG")
    return buffer.getvalue()


HUGE, BOMB = blank(1100), blank(14_000)  # pixels that some kilobytes hold


class Server(http.server.BaseHTTPRequestHandler):
    """What it answers is in the path; it counts requests, and how many good ones of a host run at once."""

    asked: Counter[str] = Counter()
    times: list[tuple[str, float]] = []
    active: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        host = self.headers["Host"].split(":")[0]
        with self.lock:
            self.active[host] += 1
            self.most[host] = max(self.most[host], self.active[host])
        yield
        with self.lock:
            self.active[host] -= 1

    def do_GET(self) -> None:
        with self.lock:
            self.asked[self.path] += 1
            self.times.append((self.path, time.monotonic()))
        try:
            self.answer()
        except OSError:  # the client had enough
            self.close_connection = True

    def answer(self) -> None:
        name, _, number = self.path[1:].split("?")[0].partition("/")
        if name == "good":
            with self.running():  # no longer than until the client can ask for the next
                time.sleep(0.01)
            self.reply(encoded(int(number)))
        elif name == "slow":
            time.sleep(0.3)
            self.reply(encoded(1000))
        elif name == "png":
            self.reply(encoded(1001, "PNG"))
        elif name == "blank%20path":
            self.reply(encoded(1002))
        elif name == "same":
            self.reply(encoded(1003))
        elif name == "page":
            self.reply(b"<html>This photo is no longer available</html>")
        elif name == "huge":
            self.reply(HUGE)
        elif name == "bomb":
            self.reply(BOMB)
        elif name == "pixel":
            self.reply(blank(1))
        elif name == "half":
            self.reply(encoded(1004)[:-300])  # a whole answer with half an image
        elif name == "truncated":
            self.reply(encoded(1005), length=10**5)
        elif name == "large":
            self.reply(b"", length=10**9)
        elif name == "moved":
            self.reply(b"", 302, Location="/good/77")
        elif name == "loop":
            self.reply(b"", 301, Location="/loop")
        elif name == "to_file":
            self.reply(b"", 302, Location="file:///etc/passwd")
        elif name == "flaky":
            self.reply(encoded(1006), 200 if self.asked[self.path] > 2 else 500)
        elif name == "busy":
            self.reply(encoded(1007), 200 if self.asked[self.path] > 1 else 503, Retry_After="1")
        elif name == "later":
            self.reply(b"", 429, Retry_After="3600")
        elif name in ("endless", "drip"):
            self.reply(None)
            for _ in itertools.repeat(None):
                self.wfile.write(b"x" * (65536 if name == "endless" else 1))
                time.sleep(0 if name == "endless" else 0.05)
        elif name == "drip_headers":
            for letter in itertools.chain(b"HTTP/1.1 200 OK\r\nX-Slow: ", itertools.repeat(120)):
                self.wfile.write(bytes([letter]))
                time.sleep(0.05)
        elif name == "silent":
            time.sleep(1)
        else:
            self.send_error(404)

    def reply(self, content: bytes | None, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if content is not None:
            self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Server.asked, Server.active, Server.most, Server.times = Counter(), Counter(), Counter(), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield running.server_port
        running.shutdown()


@pytest.fixture
def server(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def fetched(
    lists: dict[str, list[str]], output: Path, parts: dict[str, int] | None = None, max_pixels: int = PIXELS
) -> Collection:
    return fetch_images(lists, output, parts or {}, LIMITS, max_pixels)


def reasons(output: Path) -> dict[str, str]:
    with (output / "skipped.csv").open(newline="") as file:
        return {row["url"]: row["reason"] for row in csv.DictReader(file)}


def test_good_links_become_files_and_the_others_a_reason(server: str, tmp_path: Path) -> None:
    good = ["good/1", "slow", "png", "blank path", "same?1", "moved", "flaky", "busy"]
    bad = {
        "missing": "HTTP 404 Not Found",
        "page": "not an image",
        "huge": "more than 1000000 pixels",
        "bomb": "more than 1000000 pixels",
        "pixel": "1x1 pixels, expected edges of at least 16",
        "half": r"damaged \(",
        "truncated": r"the connection ended after \d+ of 100000 bytes, 3 times",
        "large": "1000000000 bytes, more than 200000",
        "loop": "more than 3 redirects",
        "to_file": "redirects to file:///etc/passwd: not an http or https address",
        "later": "HTTP 429 Too Many Requests, asks to wait 3600 s",
        "endless": "more than 200000 bytes",
        "drip": "took longer than 0.8 s",
        "drip_headers": "took longer than 0.8 s",
        "silent": "timed out, 3 times",
        "same?2": "the same image as mixed/[0-9a-f]{16}.jpg",
    }
    elsewhere = {
        f"http://127.0.0.1:{closed_port()}/refused": r".*Connection refused, 3 times",
        "file:///etc/passwd": "not an http or https address",
        "ftp://127.0.0.1/x.jpg": "not an http or https address",
        "http://[::1/x.jpg": r"not an address \(",
        "no address": "not an http or https address",
    }
    urls = [f"{server}/{name}" for name in [*bad, *good][::-1]] + [*elsewhere]
    urls.append(urls.pop(urls.index(f"{server}/same?2")))
    started = time.monotonic()
    images = fetched({"mixed": urls}, tmp_path / "data")
    assert time.monotonic() - started < 5
    assert {link.url for link in images.files} == {f"{server}/{name}" for name in good}
    found = reasons(tmp_path / "data")
    for url, pattern in ({f"{server}/{name}": reason for name, reason in bad.items()} | elsewhere).items():
        assert re.match(pattern, found.pop(url)), url
    assert found == {}
    files = sorted((tmp_path / "data" / "mixed").iterdir())
    assert Counter(file.suffix for file in files) == {".jpg": len(good) - 1, ".png": 1}
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["mixed", "skipped.csv"]
    assert images.files[next(link for link in images.files if link.url.endswith("/png"))].read_bytes() == encoded(
        1001, "PNG"
    )
    assert Server.asked["/loop"] == LIMITS.redirects + 1
    busy = [at for path, at in Server.times if path == "/busy"]
    assert busy[1] - busy[0] >= 1


def test_as_many_pixels_are_taken_as_the_caller_wants(server: str, tmp_path: Path) -> None:
    links = [f"{server}/huge", f"{server}/bomb"]
    assert not fetched({"large": links}, tmp_path, max_pixels=1_100 * 1_100 - 1).files
    assert [link.url for link in fetched({"large": links}, tmp_path, max_pixels=1_100 * 1_100).files] == links[:1]
    assert [link.url for link in fetched({"large": links}, tmp_path, max_pixels=14_000 * 14_000).files] == links


def test_few_requests_at_once_to_a_host_and_in_total(port: int, tmp_path: Path) -> None:
    urls = [f"http://{host}:{port}/good/{n}" for n in range(40) for host in ("127.0.0.1", "localhost")]
    limits = Limits(**{**vars(LIMITS), "total": 5, "per_host": 3})
    fetch_images({"a": urls}, tmp_path, {}, limits, PIXELS)
    assert Server.asked.total() == 80
    assert 2 <= Server.most["127.0.0.1"] <= 3
    assert 2 <= Server.most["localhost"] <= 3
    assert sum(Server.most.values()) >= 4


def test_a_host_that_asks_to_wait_is_left_alone(server: str, tmp_path: Path) -> None:
    fetched({"a": [f"{server}/busy", *(f"{server}/good/{n}" for n in range(30))]}, tmp_path)
    asked = Server.times[0][1]
    after = [at - asked for path, at in Server.times if path != "/busy"]
    assert not [seconds for seconds in after if 0.3 < seconds < 0.95]
    assert len([seconds for seconds in after if seconds > 0.95]) > 10


def test_parts_are_filled_in_order_and_no_more_is_asked(server: str, tmp_path: Path) -> None:
    lists = {
        "bikes": [f"{server}/good/{n}" if n % 3 else f"{server}/missing/{n}" for n in range(60)],
        "ships": [f"{server}/good/{n}" for n in [1, 1, *range(100, 140)]],
    }
    images = fetched(lists, tmp_path, {"train": 6, "val": 3})
    names = [(file.part, file.class_name) for file in list_images(tmp_path, LIMITS)]
    assert Counter(names) == {(part, name): n for part, n in (("train", 6), ("val", 3)) for name in lists}
    bikes = [path.parts[-3] for link, path in images.files.items() if link.class_name == "bikes"]
    assert bikes == ["train"] * 6 + ["val"] * 3
    order = [link.url for link in images.files if link.class_name == "bikes"]
    assert order == [url for url in lists["bikes"] if "good" in url][:9]
    assert list(reasons(tmp_path).values()).count("the same image as bikes/" + _file_of(images, lists["bikes"][1])) == 1
    assert Server.asked.total() < 30


def _file_of(images: Collection, url: str) -> str:
    return next(path.name for link, path in images.files.items() if link.url == url)


def test_what_is_there_and_good_is_not_asked_again(server: str, tmp_path: Path) -> None:
    lists = {"a": [f"{server}/{name}" for name in ("good/1", "good/2", "good/3", "same?1", "same?2", "missing")]}
    first = fetched(lists, tmp_path)
    assert first.new == {"a": 4}
    paths = {link.url: path for link, path in first.files.items()}
    paths[lists["a"][1]].write_bytes(encoded(2)[:100])
    paths[lists["a"][2]].unlink()
    (tmp_path / "a" / "mine.jpg").write_bytes(b"not from the list")
    (tmp_path / ".partial" / "a").mkdir(parents=True)
    (tmp_path / ".partial" / "a" / paths[lists["a"][2]].name).write_bytes(encoded(3))  # as after an interruption
    (tmp_path / ".partial" / "a" / "0123.jpg.part").write_bytes(b"half")
    Server.asked.clear()
    again = fetched(lists, tmp_path)
    assert Server.asked == {"/good/2": 1, "/missing": 1}
    assert {link.url: path for link, path in again.files.items()} == paths
    assert paths[lists["a"][1]].read_bytes() == encoded(2)
    assert len(list((tmp_path / "a").iterdir())) == 5
    assert len(reasons(tmp_path)) == 2


def test_lists_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "bikes.txt").write_text("\ufeff# from somewhere\nhttp://a/1.jpg \r\n\nhttp://a/2.jpg\nhttp://a/1.jpg\n")
    assert read_lists([tmp_path / "bikes.txt"]) == {"bikes": ["http://a/1.jpg", "http://a/2.jpg"]}
    (tmp_path / "empty.txt").write_text("# nothing\n")
    for paths, words in (
        (["empty.txt"], r"Received: .*empty\.txt with none"),
        (["nowhere.txt"], r"Received: .*nowhere\.txt \("),
        (["bikes.txt", "bikes.txt"], "Received: bikes twice"),
    ):
        with pytest.raises(DataError, match=words):
            read_lists([tmp_path / path for path in paths])


def test_the_script_fills_an_image_folder(server: str, tmp_path: Path) -> None:
    for number, name in enumerate(("bikes", "ships")):
        addresses = [f"{server}/good/{n}" for n in range(10 * number, 10 * number + 4)]
        (tmp_path / f"{name}.txt").write_text("\n".join([f"{server}/missing", *addresses]))
    command = [sys.executable, str(REPO / "scripts" / "fetch_images.py"), "bikes.txt", "ships.txt", "--output", "data"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)

    done = run("--train", "2", "--val", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list_images(tmp_path / "data", LIMITS)) == 6
    more = run("--train", "4", "--val", "1")
    assert more.returncode == 1
    assert more.stderr == "error: bikes: expected 5 images; give more addresses. Received: 4\n"
    assert "data/skipped.csv" in more.stdout
    assert run("--train", "2").returncode == 2
