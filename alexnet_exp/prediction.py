"""Image files outside of any dataset, classified by the model of a run."""

import csv
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.data.files import UNPRINTABLE, read_image, walk_images
from alexnet_exp.errors import one_line
from alexnet_exp.evaluation.image_grid import image_grid
from alexnet_exp.strategy import Fitted, load_fitted
from alexnet_exp.tracking.registry import run_id_of
from alexnet_exp.tracking.store import download_model

BATCHES_AHEAD = 2  # are decoded while the network computes: memory does not grow with the number of files
GRID = 32  # images
CAPTION = 14  # letters


@dataclass(frozen=True)
class Prediction:
    """The probabilities `[classes]` of one file, and what the network saw, uint8 `[size, size, 3]`."""

    path: str
    pixels: np.ndarray
    probabilities: np.ndarray

    @property
    def label(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())


@dataclass(frozen=True)
class Unreadable:
    """A file that is no image, and why."""

    path: str
    reason: str


def load_classifier(source: str) -> Fitted:
    """The classifier of a run (its id) or of a registered model (`models:/name@alias`, `models:/name/version`).

    Raises:
      UserError: when the store has no such run or model, or its files are not those that the run recorded.
    """
    run_id = run_id_of(source)
    with tempfile.TemporaryDirectory() as folder:
        return load_fitted(download_model(run_id, Path(folder)))


def image_paths(names: Iterable[str]) -> Iterator[str]:
    """Files as they are, and the images below folders."""
    for name in names:
        if Path(name).is_dir():
            yield from (str(Path(name) / below) for below in walk_images(Path(name)))
        else:
            yield name


def classify(fitted: Fitted, paths: Iterable[str], batch_size: int) -> Iterator[Prediction | Unreadable]:
    """Classifies files in order. They are decoded as the run decoded its images, on all cores, ahead of the network."""
    paths, ahead = iter(paths), deque[Iterator[tuple[str, np.ndarray | BadImage]]]()
    with ThreadPoolExecutor(os.cpu_count()) as pool, pixel_limit(fitted.megapixels):
        while batch := list(islice(paths, batch_size)):
            ahead.append(zip(batch, pool.map(partial(_decoded, fitted), batch), strict=True))
            if len(ahead) > BATCHES_AHEAD:
                yield from _classified(fitted, list(ahead.popleft()))
        for decoded in ahead:
            yield from _classified(fitted, list(decoded))


def _decoded(fitted: Fitted, path: str) -> np.ndarray | BadImage:
    content = read_image(Path(path), fitted.megapixels)
    if isinstance(content, Exception):
        return BadImage(getattr(content, "strerror", None) or one_line(content))
    try:
        return decode(content, fitted.load_size, fitted.resize)
    except BadImage as error:
        return error


def _classified(fitted: Fitted, batch: list[tuple[str, np.ndarray | BadImage]]) -> Iterator[Prediction | Unreadable]:
    pixels = [image for _, image in batch if not isinstance(image, BadImage)]
    probabilities = iter(fitted.predict_batch(np.stack(pixels)) if pixels else ())
    for path, image in batch:
        if isinstance(image, BadImage):
            yield Unreadable(path, str(image))
        else:
            yield Prediction(path, image, next(probabilities))


def line(prediction: Prediction, class_names: list[str], top: int) -> str:
    """A line of text: the path and the most probable classes."""
    best = np.argsort(-prediction.probabilities, kind="stable")[:top]
    classes = (f"{class_names[label]} {prediction.probabilities[label]:.4f}" for label in best)
    return "  ".join([printable(prediction.path), *classes])


def printable(path: str) -> str:
    """A path without what would do something to a terminal."""
    return UNPRINTABLE.sub("?", path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a place beside `path` to write to; what is there at the end stands at `path`, after an error nothing."""
    unfinished = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def csv_table(path: Path, class_names: list[str]) -> Iterator[Callable[[Prediction], None]]:
    """Yields a function that adds a row."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "prediction", *class_names])

        def add(prediction: Prediction) -> None:
            values = (f"{value:.9g}" for value in prediction.probabilities)  # enough to read them back exactly
            writer.writerow([prediction.path, class_names[prediction.label], *values])

        yield add


@dataclass
class Sample:
    """Up to `GRID` of any number of predictions, each as likely as any other (Vitter 1985, algorithm R)."""

    seen: int = 0
    kept: list[tuple[int, Prediction]] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, prediction: Prediction) -> None:
        place = self.seen if self.seen < GRID else int(self.random.integers(self.seen + 1))
        if place < GRID:
            self.kept[place : place + 1] = [(self.seen, prediction)]
        self.seen += 1

    def figure(self, class_names: list[str]) -> Figure:
        """The sample in the order of the files, with the most probable class of each."""
        shown = [prediction for _, prediction in sorted(self.kept, key=lambda entry: entry[0])]
        captions = [f"{_short(class_names[p.label])} {p.probabilities[p.label]:.0%}" for p in shown]
        return image_grid([prediction.pixels for prediction in shown], captions)


def _short(name: str) -> str:
    return name if len(name) <= CAPTION else f"{name[: CAPTION - 1]}…"
