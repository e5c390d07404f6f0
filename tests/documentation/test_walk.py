"""Every command of README.md and docs/*.md is run as it is written, one after the other, in a copy of the repository.

Budgets are small: a few images, an epoch. What a page asks its reader for (photos, an id, data) is there.
"""

import contextlib
import http.server
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from tests.documentation.pages import Command, blocks, commands, copy_repository
from tests.model.foreign_files import write_pth
from tests.tracking.servers import START_SECONDS, free_port

pytestmark = pytest.mark.docs

NOT_HERE = {  # how a command begins -> why it is not run
    "make test": "is the suite that this is a part of",
    "pip install": "needs a package index",
    ".venv/bin/pip install": "needs a package index",
    "python -m venv .venv-ray": "needs a package index",
    ".venv-ray/bin/": "needs an environment with Ray (make test-launchers)",
    "mlflow server --host 0.0.0.0": "needs PostgreSQL and an object store",
    "alexnet-exp -m hydra/launcher=slurm": "needs a cluster (make test-launchers)",
}
SMALL = {  # in conf/
    r"\bepochs: \d+": "epochs: 1",
    r"warmup_epochs: \d+": "warmup_epochs: 0",
    r"\$\{layer_by_layer:.*\}": "[{layers: [head, fc7, fc6], epochs: 1, learning_rate: 0.01}]",
    r"limit_per_class: null": "limit_per_class: 8",
    r"figures: true": "figures: false",
    r"checksum: sha256:7be5be79": "checksum: null",  # torchvision's weights, for which random ones stand in
}
SMALLER = {  # in commands
    "--seeds 5": "--seeds 1",
    "seed=0,1,2": "seed=0",
    "n_trials=50": "n_trials=2",
    "training.epochs=40": "training.epochs=1",
    "training.epochs=10": "training.epochs=1",
    "training.epochs=12": "training.epochs=1",
    "training.batch_size=512": "training.batch_size=8",
    "--train 100 --val 50": "--train 10 --val 5",
    "ablate.py batchnorm": "ablate.py batchnorm --arms none lrn",
    "ablate.py dropout": "ablate.py dropout --arms none all",
    "model=alexnet_cifar dataset=cifar10": "",
    "ablate.py data_size": "ablate.py data_size --dry-run",
    "scripts/reproduce.py": "scripts/reproduce.py --dry-run",
}
FILLED = {
    "<data>": "data",
    "<file>": "data/weights/alexnet_conv1-5.npz",
    "<folder or archive>": "photos",
    "<folder of two classes>": "photos",
    "[STUDY]": "",
    " STUDY": " norm",
}
SERVERS = {"make ui": "/", "mlflow models serve": "/ping"}  # what runs until it is stopped, and answers there
UNTIL_STOPPED = "python scripts/runs.py watch"
SECONDS = 400
LATEST = "select run_uuid from runs join tags using (run_uuid) where status = 'FINISHED' and key = 'fingerprint'"


@dataclass
class Reader:
    """Someone who follows the pages in a folder of the repository."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {"5000": free_port(), "5002": free_port()})
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def does(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self._filled(text)],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )

    def starts(self, text: str, path: str) -> None:
        """Starts a server and waits until it answers."""
        port = self.ports["5000" if "make ui" in text else "5002"]
        with open(self.folder / "server.log", "wb") as log:
            self.servers.append(
                subprocess.Popen(
                    ["bash", "-c", self._filled(text)],
                    cwd=self.folder,
                    env=self._environment() | {"PORT": str(port)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                assert answer.status == 200
                return
            assert time.monotonic() < until, (self.folder / "server.log").read_text()
            time.sleep(0.2)

    def stops(self) -> None:
        for server in self.servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def latest_runs(self) -> Iterator[str]:
        """Ids of finished runs, the latest first, over and over."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db")) as store:
            ids = [row[0] for row in store.execute(f"{LATEST} order by start_time desc")]
        return iter(ids)

    def _filled(self, text: str) -> str:
        for written, here in (SMALLER | FILLED | self._ports()).items():
            text = text.replace(written, here)
        if "<id>" in text:
            ids = self.latest_runs()
            text = re.sub("<id>", lambda _: next(ids), text)
        return text

    def _ports(self) -> dict[str, str]:
        return {written: str(port) for written, port in self.ports.items()}

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ALEXNET_EXP", "MLFLOW"))}
        path = f"{self.folder / '.venv' / 'bin'}:{own['PATH']}"
        return own | {"PATH": path, "PYTHONPATH": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("walk") / "alexnet"
    folder.mkdir()
    copy_repository(folder)
    activate(folder)
    save_time(folder / "conf")
    photos = bring_images(folder, real_data)
    with serving(photos) as address:
        for name in ("bikes", "ships"):
            lines = [f"{address}/{name}/{file.name}" for file in sorted((photos / name).iterdir())]
            (folder / f"{name}.txt").write_text("\n".join(lines))
        someone = Reader(folder)
        yield someone
        someone.stops()


def activate(folder: Path) -> None:
    """The environment of this process as `make setup` leaves it, so that make does not build one."""
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv" / ".installed").touch()


def save_time(conf: Path) -> None:
    for path in conf.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for written, here in SMALL.items():
            text = re.sub(written, here, text)
        path.write_text(text, encoding="utf-8")


def bring_images(folder: Path, real_data: Path) -> Path:
    """Puts data, weights and photos where the pages say; returns the folder of what is in the web."""
    (folder / "data" / "weights").mkdir(parents=True)
    for file in (*real_data.glob("*.*"), *real_data.glob("weights/*")):
        (folder / "data" / file.relative_to(real_data)).symlink_to(file)
    shapes = [(64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3)]
    names = [f"features.{number}" for number in (0, 3, 6, 8, 10)] + [f"classifier.{number}" for number in (1, 4, 6)]
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in zip(names, [*shapes, (4096, 9216), (4096, 4096), (1000, 4096)], strict=True):
        arrays[f"{name}.weight"] = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        arrays[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    write_pth(folder / "data" / "weights" / "alexnet-owt-7be5be79.pth", arrays)

    with tarfile.open(real_data / "dogs_vs_cats.tar") as archive:
        for name in ("cat", "dog"):
            (folder / "photos" / f"{name}s").mkdir(parents=True)
            members = [member for member in archive.getmembers() if f"Train/{name}s/{name}." in member.name][:20]
            for number, member in enumerate(members):
                content = archive.extractfile(member)
                assert content
                (folder / "photos" / f"{name}s" / f"patient{number}.jpg").write_bytes(content.read())
    (folder / "new_photos").symlink_to(folder / "photos" / "cats")
    for name in ("photo.jpg", "more.jpg"):
        (folder / name).symlink_to(folder / "photos" / "dogs" / "patient0.jpg")

    web = folder.parent / "web"
    with zipfile.ZipFile(real_data / "cifar10.zip") as archive:
        for found, name in (("automobile", "bikes"), ("ship", "ships")):
            (web / name).mkdir(parents=True)
            for entry in [entry for entry in archive.namelist() if f"train/{found}/" in entry][:20]:
                (web / name / Path(entry).name).write_bytes(archive.read(entry))
    return web


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", commands(), ids=str)
def test_a_command_does_what_it_says(command: Command, reader: Reader) -> None:
    for beginning, reason in NOT_HERE.items():
        if command.text.startswith(beginning):
            pytest.skip(reason)
    for program, path in SERVERS.items():
        if program in command.text:
            return reader.starts(command.text, path)
    stopped = command.text.startswith(UNTIL_STOPPED)
    done = reader.does(f"timeout -s INT 20 {command.text}" if stopped else command.text)
    assert done.returncode == (124 if stopped else 0), done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    if "curl" in command.text:
        assert done.stdout.startswith('{"predictions": [{')
    return None


def test_the_lines_of_python_run(reader: Reader) -> None:
    (block,) = [block for block in blocks() if block.language == "python" and not block.file]
    images = "size = model.metadata.metadata['image_size']\nimages = numpy.zeros((2, size, size, 3), 'uint8')\n"
    lines = block.text.replace("table = ", f"{images}table = ").replace("<id>", next(reader.latest_runs()))
    (reader.folder / "lines.py").write_text(f"import numpy\n{lines}print(len(table))\n")
    done = reader.does("python lines.py")
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr[-3000:]


def test_every_exception_is_still_needed() -> None:
    texts = [command.text for command in commands()]
    assert [words for words in (*NOT_HERE, *SMALLER, *FILLED) if not any(words in text for text in texts)] == []
