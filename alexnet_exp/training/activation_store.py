"""Arrays on disk, found by the content they were computed from and shared by all jobs of a machine."""

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from alexnet_exp.checksums import file_sha256
from alexnet_exp.config.schema import CacheConfig, Paths

log = logging.getLogger(__name__)
GIGABYTE = 10**9
DATA, META = "data.bin", "meta.json"


@dataclass(frozen=True)
class Entry:
    """One array: its key, what it is, its size in bytes, and when it was last used (seconds since the epoch)."""

    key: str
    title: str
    size: int
    used: float


@dataclass(frozen=True)
class ActivationStore:
    """Arrays in `folder`, at most `max_gb` of them: the least recently used make room.

    Jobs may use it at once: one computes an array, the others that need it wait. An array that was cut short or
    damaged is computed again. Of a job that is killed while it writes, nothing counts.

    Attributes:
      folder: is made when the first array is kept.
      max_gb: 10^9 bytes.
      dtype: of what is kept.
    """

    folder: Path
    max_gb: float
    dtype: str

    def has_room(self, shape: tuple[int, ...], arrays: int) -> bool:
        """Whether so many arrays of this shape can be kept at once."""
        return arrays * self._bytes(shape) <= self.max_gb * GIGABYTE

    def find(self, key: str) -> np.ndarray | None:
        """The array of a key, mapped; None where there is none or it is damaged."""
        entry = self.folder / key
        try:
            meta = json.loads((entry / META).read_text())
            if file_sha256(entry / DATA) != meta["sha256"]:
                raise ValueError("its checksum differs")
            os.utime(entry)
            return np.memmap(entry / DATA, meta["dtype"], "r", shape=tuple(meta["shape"])).view(np.ndarray)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("activations %s are damaged and computed again: %s", entry, error)
            shutil.rmtree(entry, ignore_errors=True)
            return None

    def get(
        self, key: str, title: str, shape: tuple[int, ...], compute: Callable[[], Iterator[np.ndarray]]
    ) -> np.ndarray | None:
        """The array of a key, mapped; computed where it is missing.

        Args:
          key: names the content: everything that it depends on went into it.
          title: for people.
          shape: of the whole array.
          compute: gives it in pieces along the first axis.

        Returns:
          None, with a warning, where it cannot be kept: the disk is full or may not be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock(key)):
                if (found := self.find(key)) is None:
                    self._write(key, title, shape, compute())
                    found = self.find(key)
            return found
        except OSError as error:
            log.warning("activations are not kept: %s", error)
            return None

    def entries(self) -> list[Entry]:
        """What is kept, the least recently used first."""
        found = []
        for meta in self.folder.glob(f"*/{META}"):
            try:
                entry, title = meta.parent, json.loads(meta.read_text())["title"]
                found.append(Entry(entry.name, title, (entry / DATA).stat().st_size, entry.stat().st_mtime))
            except (OSError, ValueError, KeyError):
                continue  # another job has just removed it, or it is damaged: `find` sees to that
        return sorted(found, key=lambda entry: entry.used)

    def clear(self, unused_since: float = math.inf) -> None:
        """Removes the arrays that were not used since a time (seconds since the epoch), and leftovers.

        Those that are being written stay.
        """
        for entry in self.entries():
            if entry.used < unused_since:
                shutil.rmtree(self.folder / entry.key, ignore_errors=True)
        self._remove_leftovers()

    def _write(self, key: str, title: str, shape: tuple[int, ...], pieces: Iterator[np.ndarray]) -> None:
        partial = self.folder / f"{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            self._reserve(partial, self._bytes(shape))
            digest = hashlib.sha256()
            with (partial / DATA).open("r+b") as data:
                for piece in pieces:
                    content = self._stored(piece).tobytes()
                    digest.update(content)
                    data.write(content)
            meta = {"title": title, "shape": shape, "dtype": self.dtype, "sha256": digest.hexdigest()}
            (partial / META).write_text(json.dumps(meta))
            shutil.rmtree(self.folder / key, ignore_errors=True)
            partial.rename(self.folder / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _reserve(self, partial: Path, size: int) -> None:
        """Takes the space on disk at once, so that a full disk shows before the work, and makes room for it."""
        with FileLock(self.folder / ".lock"):
            self._remove_leftovers()
            kept = self.entries()
            total = size + sum(_size(path) for path in self.folder.glob(f"*/{DATA}"))
            for entry in kept:
                if total <= self.max_gb * GIGABYTE:
                    break
                log.info("removes the activations %s (%.2f GB)", entry.title, entry.size / GIGABYTE)
                shutil.rmtree(self.folder / entry.key, ignore_errors=True)
                total -= entry.size
            partial.mkdir()
            with (partial / DATA).open("wb") as data:
                if hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(data.fileno(), 0, size)

    def _remove_leftovers(self) -> None:
        """Removes what killed jobs have left half written."""
        for partial in self.folder.glob("*.partial"):
            try:
                with FileLock(self._lock(partial.stem), timeout=0):
                    shutil.rmtree(partial, ignore_errors=True)
            except Timeout:
                continue  # somebody is writing it

    def _stored(self, piece: np.ndarray) -> np.ndarray:
        if self.dtype == "float32":
            return np.asarray(piece, np.float32)
        limit = np.finfo(np.float16).max
        return np.clip(np.asarray(piece, np.float32), -limit, limit).astype(np.float16)

    def _bytes(self, shape: tuple[int, ...]) -> int:
        return int(np.prod(shape)) * np.dtype(self.dtype).itemsize

    def _lock(self, key: str) -> Path:
        return self.folder / f"{key}.lock"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # another job has just renamed or removed it
        return 0


def activation_store(cache: CacheConfig, paths: Paths) -> ActivationStore:
    """The store of all runs that share a cache folder."""
    return ActivationStore(Path(paths.cache) / "activations", cache.max_gb, cache.dtype)
