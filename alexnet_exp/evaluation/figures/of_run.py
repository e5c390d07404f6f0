"""All figures of a run. What goes wrong with one costs that figure, not the run."""

import logging
import time
from collections.abc import Callable
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from alexnet_exp.config import RunConfig
from alexnet_exp.data import ImageSet, Splits
from alexnet_exp.evaluation.figures.calibration import reliability
from alexnet_exp.evaluation.figures.classes import confusion_matrix, per_class
from alexnet_exp.evaluation.figures.curves import curves
from alexnet_exp.evaluation.figures.features import Seen, embedding, neighbours
from alexnet_exp.evaluation.figures.images import (
    COLUMNS,
    Tile,
    confident_mistakes,
    in_rows,
    mistake_grid,
    prediction_grid,
    prediction_tiles,
    sheet,
    spread,
)
from alexnet_exp.evaluation.figures.kernels import conv1_kernels
from alexnet_exp.evaluation.figures.style import STRATEGIES, png, stacked
from alexnet_exp.evaluation.metrics import Report
from alexnet_exp.strategy import Fitted

log = logging.getLogger(__name__)
MOST_SEEN, MOST_PIXELS = 500, 12_000_000  # in the images whose features are computed, of train and of test
OVERVIEW = ("curves", "confusion_matrix_normalized", "predictions")
EXPLAINED = 8  # right and wrong examples each


def run_figures(config: RunConfig, fitted: Fitted, report: Report, splits: Splits) -> dict[str, bytes]:
    """PNG images by their paths among the run's artifacts.

    Grad-CAM is left out where the classifier has no gradient. `overview.png` has the figures to compare runs by, one
    below the other: MLflow's page of comparison shows what lies in no folder.
    """
    name, batch_size = config.strategy.name, config.evaluation.batch_size
    color = STRATEGIES[name]

    @cache
    def seen(part: str) -> Seen:
        images: ImageSet = getattr(splits, part)
        most = min(MOST_SEEN, MOST_PIXELS // (fitted.network.input_shape[1] ** 2))
        some = images.subset(spread(len(images), most))
        return Seen(some, fitted.features(some, batch_size))

    def embedded() -> Figure:
        test = seen("test")
        predicted = report.predictions["prediction"].to_numpy()[spread(len(splits.test), len(test.images))]
        return embedding(test, predicted, report.class_names, config.seed)

    figures: dict[str, Callable[[], Figure]] = {
        "curves": lambda: curves(fitted.history, f"{name} on {config.dataset.name}", color),
        "confusion_matrix": lambda: confusion_matrix(report, normalized=False),
        "confusion_matrix_normalized": lambda: confusion_matrix(report, normalized=True),
        "per_class": lambda: per_class(report, color),
        "reliability": lambda: reliability(report, color),
        "predictions": lambda: prediction_grid(report, splits.test),
        "mistakes": lambda: mistake_grid(report, splits.test),
        "conv1_kernels": lambda: conv1_kernels(_first_kernels(config, fitted)),
        "embedding": embedded,
        "neighbours": lambda: neighbours(seen("test"), seen("train"), report.class_names),
    }
    if fitted.has_gradient:
        figures["grad_cam"] = lambda: _grad_cam_grid(fitted, report, splits.test)
    drawn = {title: image for title, draw in figures.items() if (image := _drawn(title, draw)) is not None}
    overview = stacked(drawn[title] for title in OVERVIEW if title in drawn)
    return {f"figures/{title}.png": image for title, image in drawn.items()} | {"overview.png": overview}


def _drawn(title: str, draw: Callable[[], Figure]) -> bytes | None:
    started = time.perf_counter()
    try:
        image = png(draw())
    except Exception as error:
        details = log.isEnabledFor(logging.DEBUG)
        log.warning("the figure %s was not drawn (%s: %s)", title, type(error).__name__, error, exc_info=details)
        return None
    log.debug("drew %s in %.2f s", title, time.perf_counter() - started)
    return image


def _first_kernels(config: RunConfig, fitted: Fitted) -> np.ndarray:
    kernels = np.asarray(fitted.network.get_layer(next(iter(config.model.conv))).kernel)
    return kernels[:, :, ::-1] if fitted.network.get_layer("preprocess").channels == "bgr" else kernels


def _grad_cam_grid(fitted: Fitted, report: Report, images: ImageSet) -> Figure:
    """Examples, and on the right of each what spoke for the predicted class: right ones above, mistakes below."""
    table = report.predictions
    right = np.flatnonzero(table["label"] == table["prediction"])
    chosen = [right[spread(len(right), EXPLAINED)], confident_mistakes(report, EXPLAINED)]
    rows = np.concatenate(chosen)
    views, maps = fitted.grad_cam(images.take(rows), table["prediction"].to_numpy()[rows])
    tiles = prediction_tiles(report, images, rows)
    pairs = [
        pair
        for tile, view, heat in zip(tiles, views, maps, strict=True)
        for pair in (Tile(view, tile.lines, tile.color), Tile(view, [], heat=heat))
    ]
    middle = 2 * len(chosen[0])
    blank = [None] * (-middle % COLUMNS)
    title = "Grad-CAM: what speaks for the predicted class (bright); the most confident mistakes in red"
    return sheet(in_rows([*pairs[:middle], *blank, *pairs[middle:]]), title)
