"""How well each class is told from the others."""

import numpy as np
from matplotlib.axes import Axes
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
    side = float(np.clip(2.4 + 0.34 * count, 4.2, WIDTH)) if count <= 40 else min(3.0 + 0.115 * count, 20)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, vmin=0, vmax=100 if normalized else None)
    _name_classes(axes, report.class_names)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    unit = "per cent of the true class" if normalized else "test images"
    accuracy = f"accuracy {report.metrics['accuracy']:.3f}, n = {len(report.predictions)}"
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(f"{accuracy}; {unit}", fontsize=10)
    if count <= MOST_NUMBERED:
        size = float(np.clip(130 / count, 6, 11))
        for row, column in zip(*np.nonzero(matrix >= 0.5), strict=True):
            value = matrix[row, column]
            color = "white" if value > matrix.max() * 0.55 else INK
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=size, color=color)
    return figure


def _name_classes(axes: Axes, class_names: list[str]) -> None:
    count = len(class_names)
    if count > MOST_NAMED:
        return
    names = [shortened(name, 24) for name in class_names]
    size = 9 if count <= 12 else 8 if count <= 40 else 6.5
    upright = sum(map(len, names)) + count > 60 or max(map(len, names)) > 60 // count
    axes.set_xticks(range(count), names, fontsize=size, rotation=90 if upright else 0)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.tick_params(length=0)


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
        axes.set(xlim=(-0.02, 1.02), ylim=(len(part) - 0.4, -0.6))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
