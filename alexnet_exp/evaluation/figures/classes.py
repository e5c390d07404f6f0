"""How well each class is told from the others."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from alexnet_exp.evaluation.figures.style import FAINT, INK, WIDTH, shortened, styled
from alexnet_exp.evaluation.metrics import Report

MOST_NAMED = 150  # classes
MOST_NUMBERED = 25  # classes of a matrix with a number in each cell
ROWS = 50  # classes in one column of a figure


@styled
def confusion_matrix(report: Report, normalized: bool) -> Figure:
    """True classes in rows; counts, or the per cent of each true class."""
    count = len(report.class_names)
    matrix = report.confusion.astype(float)
    if normalized:
        matrix = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named, numbered = count <= MOST_NAMED, count <= MOST_NUMBERED
    size = 9 if count <= 12 else 8 if count <= 40 else 6.5
    names = [shortened(name, 24) for name in report.class_names] if named else []
    longest = max(map(len, names), default=0) * size / 110  # inches
    cell = float(np.clip(6 / count, 0.125, 1.2)) if named else WIDTH / count
    upright = longest > cell

    # Sizes are known: no layout engine, and texts instead of ticks, are several times faster with 100 classes
    side, head, left, bottom = cell * count, 0.55, 0.4 + longest, 0.4 + (longest if upright else 0.2)
    width, height = left + side + (0.2 if numbered else 0.8), head + side + bottom
    figure = Figure(figsize=(max(width, 3.5), height))
    axes = figure.add_axes((left / figure.get_figwidth(), bottom / height, side / figure.get_figwidth(), side / height))
    norm = PowerNorm(1 if numbered else 0.5, vmin=0, vmax=100 if normalized else matrix.max())
    image = axes.imshow(matrix, norm=norm)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for number, name in enumerate(names):
        axes.text(-0.5 - 0.06 / cell, number, name, fontsize=size, ha="right", va="center")
        y = count - 0.5 + 0.06 / cell
        axes.text(number, y, name, fontsize=size, ha="center", va="top", rotation=90 if upright else 0)
    unit = "per cent of the true class" if normalized else "test images"
    title = f"accuracy {report.metrics['accuracy']:.3f}, n = {len(report.predictions)}\n{unit}"
    figure.text(0.1 / figure.get_figwidth(), 1 - 0.08 / height, title, fontsize=10, va="top")
    figure.text(0.1 / figure.get_figwidth(), (bottom + side / 2) / height, "true", rotation=90, va="center")
    figure.text((left + side / 2) / figure.get_figwidth(), 0.1 / height, "predicted", ha="center")
    if numbered:
        _write_numbers(axes, matrix)
    else:
        figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.02, 0.5)))
    return figure


def _write_numbers(axes: Axes, matrix: np.ndarray) -> None:
    size = float(np.clip(130 / len(matrix), 6, 11))
    for row, column in zip(*np.nonzero(matrix >= 0.5), strict=True):
        color = "white" if matrix[row, column] > matrix.max() * 0.55 else INK
        axes.text(column, row, f"{matrix[row, column]:.0f}", ha="center", va="center", fontsize=size, color=color)


@styled
def per_class(report: Report, color: str) -> Figure:
    """Precision and recall of each class with its number of test images; of very many, the worst by F1."""
    classes = np.arange(len(report.class_names))
    f1 = np.array([report.per_class[name]["f1-score"] for name in report.class_names])
    shown = np.sort(np.argsort(f1, kind="stable")[:MOST_NAMED])
    panels = -(-len(shown) // ROWS)
    rows = -(-len(shown) // panels)
    figure = Figure(figsize=(WIDTH, 1.1 + max(rows, 3) * (0.26 if rows <= 20 else 0.15)), layout="constrained")
    cut = "" if len(shown) == len(classes) else f"; the {len(shown)} of {len(classes)} classes with the lowest F1"
    figure.suptitle(f"macro F1 {report.metrics['macro_f1']:.3f}{cut}", fontsize=10)
    values = [report.per_class[name][kind] for name in report.class_names for kind in ("precision", "recall")]
    lowest = max(start for start in (0.0, 0.5, 0.8) if start <= min(values))
    for axes, part in zip(np.atleast_1d(figure.subplots(1, panels)), np.array_split(shown, panels), strict=True):
        table = [report.per_class[report.class_names[number]] for number in part]
        precision, recall = ([row[name] for row in table] for name in ("precision", "recall"))
        places = np.arange(len(part))
        axes.hlines(places, precision, recall, color=FAINT, linewidth=2)
        axes.plot(precision, places, "o", color=color, label="precision", markersize=6 if rows <= 20 else 4)
        axes.plot(recall, places, "D", color=INK, fillstyle="none", label="recall", markersize=6 if rows <= 20 else 4)
        names = [
            f"{shortened(report.class_names[number], 24)}  ({row['support']:.0f})"
            for number, row in zip(part, table, strict=True)
        ]
        axes.set_yticks(places, names, fontsize=9 if rows <= 20 else 6.5)
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(lowest - 0.01, 1.01), ylim=(len(part) - 0.4, -0.6))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
