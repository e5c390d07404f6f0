"""What a run tells MLflow, on disk before anything is sent: no outage of the tracking store loses it.

A run has the folder `<state>/<run_id>/`:

  journal.jsonl   one record a line; the first names the store
  confirmed       how many bytes of the journal the store has confirmed
  artifacts/      the files that the records speak of, at their paths in the run
  model/          the MLflow model
  checkpoints/    of training, until the run has finished
  lock            held by the process that writes the journal or delivers it
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

Record = dict[str, Any]
PRUNED = "pruned"  # the tag of a trial that was stopped because others are better


class Journal:
    """The records of one run, in the order in which they happened.

    Every record has a `kind`, and what its kind needs:

      store     uri (without credentials)
      params    values: text by name, at most 100
      tags      values: text by name, at most 100
      metrics   values: numbers by name, step, timestamp in milliseconds; at most 1000
      artifact  path in the run, and below `artifacts`
      model     path: the folder of an MLflow model, beside the journal
      status    status (FINISHED, FAILED, KILLED; RUNNING when it is resumed), timestamp
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.checkpoints = folder / "checkpoints"
        self._lines = folder / "journal.jsonl"
        self._confirmed = folder / "confirmed"
        self._reached: int | None = None

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def exists(self) -> bool:
        return self._lines.exists()

    @property
    def written(self) -> float:
        """When the last record came, in seconds since 1970."""
        return self._lines.stat().st_mtime

    @property
    def live(self) -> bool:
        """Whether a process holds it."""
        if not self.folder.exists():
            return False
        try:
            with self._lock():
                return False
        except Timeout:
            return True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes away, and drops half a line that a killed process has left.

        Raises:
          filelock.Timeout: when a live process has it.
        """
        self.artifacts.mkdir(parents=True, exist_ok=True)
        with self._lock():
            with open(self._lines, "ab") as file:
                file.truncate(sum(len(line) for line in self._whole_lines(0)))
            yield

    def append(self, kind: str, **content: Any) -> None:
        """Adds a record; when this returns, it is on disk. A disk that is full leaves the journal as it was."""
        rest = json.dumps({"kind": kind} | content).encode() + b"\n"
        with open(self._lines, "ab", buffering=0) as file:
            end = file.tell()
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise

    def records(self) -> list[Record]:
        """All records, the delivered ones too."""
        return [json.loads(line) for line in self._whole_lines(0)]

    def pending(self) -> Iterator[tuple[int, Record]]:
        """The records that are not confirmed, each with the position of its end."""
        position = self.position
        for line in self._whole_lines(position):
            position += len(line)
            yield position, json.loads(line)

    def confirm(self, position: int) -> None:
        """Notes that the store has everything up to a position."""
        self._reached = position
        written = self._confirmed.with_suffix(".new")
        with contextlib.suppress(OSError):  # a disk that is full: another process would only send it once more
            written.write_text(str(position))
            written.replace(self._confirmed)

    def has(self, kind: str) -> bool:
        return any(record["kind"] == kind for record in self.records())

    @property
    def position(self) -> int:
        """How much the store has confirmed, in bytes."""
        if self._reached is not None:
            return self._reached
        return int(self._confirmed.read_text()) if self._confirmed.exists() else 0

    @property
    def delivered(self) -> bool:
        """Whether the store has everything."""
        return next(self.pending(), None) is None

    @property
    def status(self) -> str | None:
        """How the run ended; None while it runs or when its process was killed."""
        last = (self.records() or [{}])[-1]
        return last.get("status")

    @property
    def over(self) -> bool:
        """Whether nobody will resume it: it has finished, or was pruned."""
        pruned = any(PRUNED in record["values"] for record in self.records() if record["kind"] == "tags")
        return self.status == "FINISHED" or (pruned and self.status == "KILLED")

    @property
    def store(self) -> str | None:
        """The URI of the store that it is for, without credentials; None while it has no record."""
        return next((record["uri"] for record in self.records()), None)

    def delete(self) -> None:
        """Removes what was delivered; the folder too when nobody else keeps something in it."""
        for folder in (self.artifacts, self.checkpoints, self.folder / "model"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self._lines, self._confirmed, self.folder / "lock"):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _lock(self) -> FileLock:
        return FileLock(self.folder / "lock", timeout=0, thread_local=False)

    def _whole_lines(self, position: int) -> Iterator[bytes]:
        if self._lines.exists():
            with open(self._lines, "rb") as file:
                file.seek(position)
                yield from (line for line in file if line.endswith(b"\n"))


def journals(state: Path) -> list[Journal]:
    """Those below a state folder, the oldest first."""
    found = sorted(state.glob("*/journal.jsonl"), key=lambda path: path.stat().st_mtime)
    return [Journal(path.parent) for path in found]


def now() -> int:
    """Milliseconds since 1970, as MLflow counts them."""
    return time.time_ns() // 1_000_000
