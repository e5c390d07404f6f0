"""Test images as the last hidden layer sees them."""

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from alexnet_exp.data import ImageSet
from alexnet_exp.evaluation.figures.images import COLUMNS, Tile, sheet, shortened, spread
from alexnet_exp.evaluation.figures.style import INK, PALETTE, RIGHT, WIDTH, WRONG, styled

QUERIES = 6
NAME = 15  # characters over an image


@dataclass(frozen=True)
class Seen:
    """Some images with their features float32 `[N, D]`."""

    images: ImageSet
    features: np.ndarray


@styled
def embedding(test: Seen, predictions: np.ndarray, class_names: list[str], seed: int) -> Figure:
    """The first two principal components of the features, coloured by class.

    Args:
      test: some test images.
      predictions: the predicted class of each, int `[N]`; wrong ones are crosses.
      class_names: written in the middle of each class.
      seed: of the randomised decomposition.
    """
    pca = PCA(2, svd_solver="randomized", random_state=seed)
    points = pca.fit_transform(test.features)
    labels = test.images.labels
    right = predictions == labels
    count = len(class_names)
    colors = np.array(PALETTE) if count <= len(PALETTE) else colormaps["turbo"](np.linspace(0.04, 0.96, count))
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(
        points[right, 0], points[right, 1], c=colors[labels[right]], s=14, linewidths=0, alpha=0.75, label="right"
    )
    axes.scatter(
        points[~right, 0], points[~right, 1], c=colors[labels[~right]], s=34, marker="x", linewidths=1.4, label="wrong"
    )
    size = 10 if count <= 12 else 8 if count <= 40 else 6
    outline = [withStroke(linewidth=2.5, foreground="white")]
    for number in np.unique(labels):
        x, y = np.median(points[labels == number], axis=0)
        name = shortened(class_names[number], 20 if count <= 40 else 12)
        axes.text(x, y, name, fontsize=size, ha="center", va="center", color=INK, path_effects=outline)
    shares = pca.explained_variance_ratio_
    axes.set(xlabel=f"component 1 ({shares[0]:.0%} of the variance)", ylabel=f"component 2 ({shares[1]:.0%})")
    axes.set(xticks=[], yticks=[], title=f"features of {len(labels)} test images; crosses are mistakes")
    return figure


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
    return sheet(rows, f"test images, and the nearest of {len(train.images)} training images in feature space")
