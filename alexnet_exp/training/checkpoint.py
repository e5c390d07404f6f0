"""Checkpoints on disk: a folder for each epoch, whole or not there, sealed by checksums."""

import json
import logging
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from alexnet_exp.checksums import read_sealed, write_sealed
from alexnet_exp.errors import WeightsError, one_line

log = logging.getLogger(__name__)

PROGRESS, NETWORK, OPTIMIZER, SEAL = "progress.json", "network.safetensors", "optimizer.safetensors", "seal.json"
Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Progress:
    """How far training has come.

    Attributes:
      stage: the name of the stage.
      ended: whether nothing is left to do in it.
      best: the number of its best epoch.
      history: the metrics of all epochs of the run, of earlier stages too.
      callbacks: the state of early stopping and of the plateau schedule, by class.
    """

    stage: str
    ended: bool
    best: int
    history: list[dict[str, Any]]
    callbacks: dict[str, dict[str, Any]]

    @property
    def epoch(self) -> int:
        return int(self.history[-1]["epoch"])


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after an epoch.

    Attributes:
      progress: how far it has come.
      network: all variables by `layer/variable`, the state of random generators too.
      optimizer: its variables by their number.
      best: `network` as it was after the best epoch; empty where nobody asked for it.
    """

    progress: Progress
    network: Arrays
    optimizer: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one run, written by a thread while training goes on.

    The last two are kept, each with its best epoch. Leaving the context waits until the last one is on disk.

    Attributes:
      history: the metrics of all epochs, as of the last checkpoint that was taken up or saved.
    """

    def __init__(self, folder: Path):
        self.history: list[dict[str, Any]] = []
        self._folder = folder
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        self._needed: set[int] = set()
        self._found: Checkpoint | None = None
        self._looked = False

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown()

    def save(self, progress: Progress, network: Arrays, optimizer: Arrays) -> None:
        """Keeps the state after an epoch; waits for the one before, so that at most one is held in memory."""
        self.history = progress.history
        if self._writing:
            self._writing.result()
        self._writing = self._writer.submit(self._save, progress, network, optimizer)

    def take_up(self, shapes: Shapes, with_best: bool) -> Checkpoint | None:
        """What an earlier process has left, until it is released: the last checkpoint that is whole.

        Args:
          shapes: of the network that is to go on from it.
          with_best: whether it is of no use without the weights of its best epoch.
        """
        if not self._looked:
            self._looked = True
            for folder in sorted(self._folder.glob("[0-9]*[0-9]"), reverse=True):
                try:
                    self._found = self._read(folder, shapes, with_best)
                except (WeightsError, OSError) as error:
                    log.warning("a checkpoint is damaged, the one before is taken: %s", one_line(error))
                    continue
                progress = self._found.progress
                self.history, self._needed = progress.history, {progress.epoch, progress.best}
                break
        return self._found

    def release(self) -> None:
        """Frees what was taken up."""
        self._found = None

    def _read(self, folder: Path, shapes: Shapes, with_best: bool) -> Checkpoint:
        progress, network, optimizer = _read(folder)
        best = _read(self._folder_of(progress.best))[1] if with_best else {}
        if shapes != {name: array.shape for name, array in network.items()}:
            raise WeightsError(f"{folder}: expected the variables of this network. Received: others")
        return Checkpoint(progress, network, optimizer, best)

    def _save(self, progress: Progress, network: Arrays, optimizer: Arrays) -> None:
        folder = self._folder_of(progress.epoch)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        try:
            _write(partial, progress, network, optimizer)
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            partial.rename(folder)
            _sync(self._folder)
        except OSError as error:
            log.warning("epoch %d has no checkpoint (%s); earlier ones are kept", progress.epoch, one_line(error))
            return
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        needed = {progress.epoch, progress.best}
        for other in self._folder.iterdir():
            if other.name not in {self._folder_of(epoch).name for epoch in needed | self._needed}:
                shutil.rmtree(other, ignore_errors=True)
        self._needed = needed

    def _folder_of(self, epoch: int) -> Path:
        return self._folder / f"{epoch:06d}"


def _write(folder: Path, progress: Progress, network: Arrays, optimizer: Arrays) -> None:
    folder.mkdir(parents=True)
    (folder / PROGRESS).write_text(json.dumps(asdict(progress)))
    for name, arrays in ((NETWORK, network), (OPTIMIZER, optimizer)):
        try:
            save_file(arrays, folder / name)
        except SafetensorError as error:
            raise OSError(one_line(error)) from None
    for file in folder.iterdir():
        _sync(file)
    write_sealed(folder / SEAL, {})
    _sync(folder / SEAL)
    _sync(folder)


def _read(folder: Path) -> tuple[Progress, Arrays, Arrays]:
    read_sealed(folder / SEAL)
    progress = Progress(**json.loads((folder / PROGRESS).read_text()))
    return progress, load_file(folder / NETWORK), load_file(folder / OPTIMIZER)


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
