"""Image files outside of any dataset, classified by the model of a run."""

import csv
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
from PIL import Image, ImageDraw, ImageFont

from alexnet_exp.cores import cores
from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.data.files import read_image, walk_images
from alexnet_exp.errors import UserError, one_line, printable
from alexnet_exp.evaluation.figures.images import NAME, Tile, in_rows, overlay, sheet
from alexnet_exp.evaluation.figures.style import png, shortened
from alexnet_exp.strategy import Fitted, load_fitted
from alexnet_exp.tracking.query import download_model
from alexnet_exp.tracking.registry import run_id_of

BATCHES_AHEAD = 2  # are decoded while the network computes: memory does not grow with the number of files
GRID = 32  # images
CAPTION, CAPTION_LENGTH = 24, 40  # pixels, characters: above an explanation


@dataclass(frozen=True)
class Prediction:
    """Of one file.

    Attributes:
      path: of the file.
      pixels: what was classified, uint8 `[load_size, load_size, 3]`.
      probabilities: `[classes]`.
      explanation: the image beside what speaks for the most probable class in it, where that was asked for.
    """

    path: str
    pixels: np.ndarray
    probabilities: np.ndarray
    explanation: np.ndarray | None = None

    @property
    def label(self) -> int:
        """The most probable class."""
        return int(self.probabilities.argmax())

    def caption(self, class_names: list[str], most: int) -> str:
        """The most probable class and its probability, in at most so many characters."""
        confidence = f" {self.probabilities[self.label]:.0%}"
        return shortened(class_names[self.label], most - len(confidence)) + confidence


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


def classify(
    fitted: Fitted, paths: Iterable[str], batch_size: int, explain: bool = False
) -> Iterator[Prediction | Unreadable]:
    """Classifies files in order. They are decoded as the run decoded its images, on all cores, ahead of the network.

    Raises:
      UserError: when an explanation is asked for and the classifier has no gradient.
    """
    if explain and not fitted.has_gradient:
        raise UserError("--gradcam: expected a run whose classifier is a network. Received: one with an SVM")
    paths, ahead = iter(paths), deque[Iterator[tuple[str, np.ndarray | BadImage]]]()
    with ThreadPoolExecutor(cores()) as pool, pixel_limit(fitted.megapixels):
        while batch := list(islice(paths, batch_size)):
            ahead.append(zip(batch, pool.map(partial(_decoded, fitted), batch), strict=True))
            if len(ahead) > BATCHES_AHEAD:
                yield from _classified(fitted, list(ahead.popleft()), explain)
        for decoded in ahead:
            yield from _classified(fitted, list(decoded), explain)


def _decoded(fitted: Fitted, path: str) -> np.ndarray | BadImage:
    content = read_image(Path(path), fitted.megapixels)
    if isinstance(content, Exception):
        return BadImage(getattr(content, "strerror", None) or one_line(content))
    try:
        return decode(content, fitted.load_size, fitted.resize)
    except BadImage as error:
        return error


def _classified(
    fitted: Fitted, batch: list[tuple[str, np.ndarray | BadImage]], explain: bool
) -> Iterator[Prediction | Unreadable]:
    good = [(path, image) for path, image in batch if not isinstance(image, BadImage)]
    predictions = iter(_predictions(fitted, good, explain) if good else ())
    for path, image in batch:
        yield Unreadable(path, str(image)) if isinstance(image, BadImage) else next(predictions)


def _predictions(fitted: Fitted, images: list[tuple[str, np.ndarray]], explain: bool) -> list[Prediction]:
    pixels = np.stack([image for _, image in images])
    probabilities = fitted.predict_batch(pixels)
    explanations: list[np.ndarray | None] = [None] * len(images)
    if explain:
        explanations = [*map(overlay, *fitted.grad_cam(pixels, probabilities.argmax(axis=1)))]
    return [
        Prediction(path, image, values, explanation)
        for (path, image), values, explanation in zip(images, probabilities, explanations, strict=True)
    ]


def line(prediction: Prediction, class_names: list[str], top: int) -> str:
    """A line of text: the path and the most probable classes."""
    best = np.argsort(-prediction.probabilities, kind="stable")[:top]
    classes = (f"{class_names[label]} {prediction.probabilities[label]:.4f}" for label in best)
    return "  ".join([printable(prediction.path), *classes])


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


def write_explanation(folder: Path, number: int, path: str, explanation: np.ndarray, caption: str) -> None:
    """Writes `<number>_<name of the file>.png`, the caption above it; the folder is made where it does not exist."""
    height, width = explanation.shape[:2]
    page = Image.new("RGB", (width, CAPTION + height), "white")
    page.paste(Image.fromarray(explanation), (0, CAPTION))
    ImageDraw.Draw(page).text((4, 3), caption, "black", ImageFont.load_default(16))
    folder.mkdir(exist_ok=True)
    page.save(folder / f"{number:05d}_{Path(path).name}.png")


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

    def grid(self, class_names: list[str]) -> bytes:
        """The sample in the order of the files, with the most probable class of each, as PNG."""
        tiles = []
        for _, prediction in sorted(self.kept, key=lambda entry: entry[0]):
            tiles.append(Tile(prediction.pixels, [prediction.caption(class_names, NAME)]))
        some = f"{len(tiles)} of " if len(tiles) < self.seen else ""
        return png(sheet(in_rows(tiles), f"predictions on {some}{self.seen} images"))
