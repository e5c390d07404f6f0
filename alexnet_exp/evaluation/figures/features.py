"""Test images as the last hidden layer sees them."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from alexnet_exp.data import ImageSet
from alexnet_exp.evaluation.figures.images import COLUMNS, NAME, Tile, sheet, spread
from alexnet_exp.evaluation.figures.style import PALETTE, RIGHT, WIDTH, WRONG, shortened, styled

QUERIES = 6
MARKERS = "os^D"
MOST_NAMED = 24  # classes; those furthest from the middle


@dataclass(frozen=True)
class Seen:
    """Some images with their features float32 `[N, D]`."""

    images: ImageSet
    features: np.ndarray


@styled
def embedding(test: Seen, predictions: np.ndarray, class_names: list[str], seed: int) -> Figure:
    """The first four principal components of the features, two by two; a class has a colour, a marker and its name.

    Args:
      test: some test images.
      predictions: the predicted class of each, int `[N]`; wrong ones have a red edge.
      class_names: written in the middle of each class.
      seed: of the randomised decomposition.
    """
    pca = PCA(min(4, *test.features.shape), svd_solver="randomized", random_state=seed)
    points = pca.fit_transform(test.features)
    wrong = predictions != test.images.labels
    figure = Figure(figsize=(WIDTH, 4.5), layout="constrained")
    mistakes = f", {wrong.sum()} of them mistakes (red edge)" if wrong.any() else ""
    figure.suptitle(f"features of {len(points)} test images{mistakes}: principal components", fontsize=10)
    panels = points.shape[1] // 2
    for axes, first in zip(figure.subplots(1, panels, squeeze=False)[0], range(0, 2 * panels, 2), strict=True):
        _scatter(axes, points[:, first : first + 2], test.images.labels, wrong, class_names)
        shares = [
            f"component {number + 1}: {pca.explained_variance_ratio_[number]:.0%}" for number in (first, first + 1)
        ]
        axes.set(xlabel=f"{shares[0]} of the variance", ylabel=shares[1], xticks=[], yticks=[])
    return figure


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray, wrong: np.ndarray, class_names: list[str]) -> None:
    colors = np.array(PALETTE)[labels % len(PALETTE)]
    edges = np.where(wrong, WRONG, "white")
    for number, marker in enumerate(MARKERS):
        some = labels // len(PALETTE) % len(MARKERS) == number
        x, y = points[some].T
        axes.scatter(x, y, s=20, c=colors[some], marker=marker, edgecolors=edges[some], linewidths=0.4 + wrong[some])
    middles = {number: np.median(points[labels == number], axis=0) for number in np.unique(labels)}
    outermost = sorted(middles, key=lambda number: -np.linalg.norm(middles[number]))[:MOST_NAMED]
    outline = [withStroke(linewidth=2.5, foreground="white")]
    for number in outermost:
        name = shortened(class_names[number], 16)
        size = 10 if len(middles) <= 10 else 8
        x, y = middles[number]
        axes.text(x, y, name, fontsize=size, ha="center", va="center", path_effects=outline)
    axes.margins(0.1)


def neighbours(test: Seen, train: Seen, class_names: list[str]) -> Figure:
    """Test images, and the training images with the nearest features (Euclidean; the paper's figure 4)."""
    queries = spread(len(test.images), QUERIES)
    distances = pairwise_distances(test.features[queries], train.features)
    rows: list[list[Tile | None]] = []
    asked = test.images.take(queries)
    for query, image, distance in zip(queries, asked, distances, strict=True):
        nearest = np.argsort(distance, kind="stable")[: COLUMNS - 2]
        truth = test.images.labels[query]
        row: list[Tile | None] = [Tile(image, [shortened(class_names[truth], NAME)]), None]
        for other, label in zip(train.images.take(nearest), train.images.labels[nearest], strict=True):
            row.append(Tile(other, [shortened(class_names[label], NAME)], RIGHT if label == truth else WRONG))
        rows.append(row)
    title = f"test images, and the nearest of {len(train.images)} training images in feature space"
    return sheet(rows, f"{title}: blue is of the same class, red of another")
