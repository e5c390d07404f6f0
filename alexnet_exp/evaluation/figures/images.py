"""Test images, and what was made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from alexnet_exp.data import ImageSet
from alexnet_exp.evaluation.figures.style import INK, RIGHT, WIDTH, WRONG, shortened, styled
from alexnet_exp.evaluation.metrics import Report

COLUMNS = 8
CELL = WIDTH / COLUMNS  # inches
MARGIN, LINE = 0.04, 0.145  # around an image; the height of a line of text
SMALLEST = 224  # pixels of an image that stands alone
NAME = 15  # characters that fit over an image


@dataclass(frozen=True)
class Tile:
    """An image with lines of text above it.

    Attributes:
      image: uint8 `[H, W, 3]`.
      lines: at most two.
      color: of the text.
      heat: float `[h, w]` from 0 to 1, laid over the image.
    """

    image: np.ndarray
    lines: Sequence[str]
    color: str = INK
    heat: np.ndarray | None = None


@styled
def sheet(rows: Sequence[Sequence[Tile | None]], title: str) -> Figure:
    """Rows of images, at most eight in each; None leaves a place empty."""
    text = LINE * max((len(tile.lines) for row in rows for tile in row if tile), default=0)
    head, height = 0.32, CELL + text
    figure = Figure(figsize=(WIDTH, head + 0.05 + height * len(rows)))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))  # measured in inches, from the upper left corner
    axes.text(MARGIN, head / 2, title, fontsize=10, va="center")
    for top, row in enumerate(rows):
        for column, tile in enumerate(row):
            if tile is None:
                continue
            left, upper = column * CELL + MARGIN, head + top * height
            lower = upper + height - MARGIN
            box = (left, left + CELL - 2 * MARGIN, lower, upper + text + MARGIN)
            axes.imshow(tile.image, extent=box)
            if tile.heat is not None:
                heat = axes.imshow(tile.heat, extent=box, cmap="plasma", alpha=0.8 * tile.heat, vmin=0, vmax=1)
                heat.set_interpolation("bilinear")
            axes.text(left, box[3] - 0.03, "\n".join(tile.lines), fontsize=7.5, color=tile.color, va="bottom")
    axes.set(xlim=(0, WIDTH), ylim=(figure.get_figheight(), 0), aspect="auto")
    axes.axis("off")
    return figure


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image uint8 `[H, W, 3]` beside itself under a map float `[h, w]` from 0 to 1; small ones are enlarged."""
    scale = max(1, SMALLEST // len(image))
    image = image.repeat(scale, axis=0).repeat(scale, axis=1)
    size = (image.shape[1], image.shape[0])
    heat = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    alpha = 0.8 * heat[..., None]
    covered = (1 - alpha) * image + alpha * 255 * colormaps["plasma"](heat)[..., :3]
    return np.hstack([image, covered.astype(np.uint8)])


def spread(count: int, most: int) -> np.ndarray:
    """Indices of at most so many of `count` things, evenly spaced: in a sorted set, some of each class."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def confident_mistakes(report: Report, most: int) -> np.ndarray:
    """Rows of wrong predictions, the most confident first."""
    table = report.predictions
    wrong = np.flatnonzero(table["label"] != table["prediction"])
    confidence = table["probabilities"].iloc[wrong].map(max).to_numpy(float)
    return wrong[np.argsort(-confidence, kind="stable")][:most]


def prediction_grid(report: Report, images: ImageSet) -> Figure:
    """Images spread over the test set with the predicted class: blue where right, red where wrong."""
    tiles = prediction_tiles(report, images, spread(len(images), 4 * COLUMNS))
    return sheet(in_rows(tiles), "predictions on test images: blue is right; red is wrong, with the true class")


def mistake_grid(report: Report, images: ImageSet) -> Figure:
    """The most confident mistakes."""
    wrong = int((report.predictions["label"] != report.predictions["prediction"]).sum())
    tiles = prediction_tiles(report, images, confident_mistakes(report, 4 * COLUMNS))
    most = f", the {len(tiles)} most confident" if len(tiles) < wrong else ""
    return sheet(in_rows(tiles), f"{wrong} mistakes in {len(images)} test images{most}")


def in_rows(tiles: Sequence[Tile | None]) -> list[Sequence[Tile | None]]:
    """Eight in each row."""
    return [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]


def prediction_tiles(report: Report, images: ImageSet, rows: np.ndarray) -> list[Tile]:
    """A tile for each of these rows of the predictions."""
    return [_tile(report, row, image) for row, image in zip(rows, images.take(rows), strict=True)]


def _tile(report: Report, row: int, image: np.ndarray) -> Tile:
    label, predicted = (int(report.predictions[name].iloc[row]) for name in ("label", "prediction"))
    confidence = f" {max(report.predictions['probabilities'].iloc[row]):.0%}"
    lines = [shortened(report.class_names[predicted], NAME - len(confidence)) + confidence]
    if label != predicted:
        lines.append("is " + shortened(report.class_names[label], NAME - 3))
    return Tile(image, lines, RIGHT if label == predicted else WRONG)
