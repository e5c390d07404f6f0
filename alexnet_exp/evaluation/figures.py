"""The figures of a run, as Matplotlib figures that are not tied to a window or to global state."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from alexnet_exp.data import ImageSet
from alexnet_exp.evaluation.metrics import Report

TRAIN, VAL, WRONG = "#0072B2", "#D55E00", "#C00000"  # told apart by colour-blind eyes (Okabe and Ito)


def curves(history: list[dict[str, Any]], title: str) -> Figure:
    """Loss and accuracy of train and val for each epoch; the stages of fine-tuning are marked, and the best epoch."""
    names = [name for name in ("loss", "accuracy") if f"val/{name}" in history[0]]
    figure = Figure(figsize=(5.2 * len(names), 3.8), layout="constrained")
    figure.suptitle(title, fontsize=11)
    by_setting = "svm/c" in history[0]
    epochs = [entry["svm/c"] if by_setting else entry["epoch"] + 1 for entry in history]
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for part, color in (("train", TRAIN), ("val", VAL)):
            axes.plot(epochs, [entry[f"{part}/{name}"] for entry in history], color=color, label=part, marker=".")
        _mark_stages(axes, history)
        values = [entry[f"val/{name}"] for entry in history]
        best = int(np.argmax(values) if name == "accuracy" else np.argmin(values))
        axes.plot(
            epochs[best], values[best], "o", color=VAL, markersize=9, fillstyle="none", label=f"best {values[best]:.3f}"
        )
        axes.set(xlabel="C" if by_setting else "epoch", ylabel=name, xscale="log" if by_setting else "linear")
        if not by_setting:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def confusion_matrix(report: Report, normalized: bool) -> Figure:
    """True classes in rows; counts, or the share of each true class."""
    matrix = report.confusion.astype(float)
    if normalized:
        matrix = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = len(report.class_names)
    side = float(np.clip(1.6 + 0.42 * classes, 4.4, 16))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1 if normalized else None)
    figure.colorbar(image, ax=axes, shrink=0.8)
    size = float(np.clip(200 / max(classes, 1), 4, 10))
    axes.set_xticks(
        range(classes),
        report.class_names,
        rotation=90 if classes > 4 and max(map(len, report.class_names)) > 2 else 0,
        fontsize=size,
    )
    axes.set_yticks(range(classes), report.class_names, fontsize=size)
    axes.set(
        xlabel="predicted",
        ylabel="true",
        title=f"accuracy {report.metrics['accuracy']:.3f}, n = {len(report.predictions)}",
    )
    if classes <= 25:
        for row, column in np.ndindex(classes, classes):
            value = matrix[row, column]
            text = f"{value:.2f}" if normalized else f"{value:.0f}"
            dark = value > matrix.max() / 2
            axes.text(
                column, row, text, ha="center", va="center", fontsize=size * 0.8, color="white" if dark else "black"
            )
    return figure


def prediction_grid(report: Report, images: ImageSet, rows: int = 4, columns: int = 8) -> Figure:
    """Test images with the predicted class: black where right; red, with the true class, where wrong.

    Up to half of the grid shows the most confident mistakes, the rest is spread evenly over the test set.
    """
    table = report.predictions
    confidence = np.array([max(p) for p in table["probabilities"]])
    wrong = np.flatnonzero(table["label"] != table["prediction"])
    mistakes = wrong[np.argsort(-confidence[wrong])][: rows * columns // 2]
    right = np.flatnonzero(table["label"] == table["prediction"])
    count = min(len(right), rows * columns - len(mistakes))
    spread = right[np.linspace(0, len(right) - 1, count).astype(int)] if count else right
    chosen = np.concatenate([mistakes, spread])
    figure = Figure(figsize=(1.5 * columns, 1.85 * rows), layout="constrained")
    for axes in (grid := figure.subplots(rows, columns).ravel()):
        axes.axis("off")
    for axes, index, image in zip(grid, chosen, images.take(chosen), strict=False):
        label, predicted = table["label"].iloc[index], table["prediction"].iloc[index]
        name = textwrap.shorten(report.class_names[predicted], 18, placeholder="…")
        text = f"{name} {confidence[index]:.0%}"
        if label != predicted:
            text += f"\nis {textwrap.shorten(report.class_names[label], 18, placeholder='…')}"
        axes.imshow(image)
        axes.set_title(text, fontsize=8, color="black" if label == predicted else WRONG)
    return figure


def conv1_kernels(kernels: np.ndarray) -> Figure:
    """The kernels of the first layer, `[height, width, 3, filters]`, each on its own scale (the paper's figure 3)."""
    height, width, _, filters = kernels.shape
    columns = min(16, filters)
    rows = -(-filters // columns)
    sheet = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3))
    for number, kernel in enumerate(np.moveaxis(kernels, -1, 0)):
        spread = np.abs(kernel - kernel.mean()).max() or 1.0
        row, column = number // columns * (height + 1), number % columns * (width + 1)
        sheet[row : row + height, column : column + width] = 0.5 + (kernel - kernel.mean()) / (2 * spread)
    figure = Figure(figsize=(0.6 * columns, 0.6 * rows + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.axis("off")
    axes.set_title(f"conv1: {filters} kernels of {height}x{width}", fontsize=10)
    return figure


def _mark_stages(axes: Any, history: list[dict[str, Any]]) -> None:
    stages = [entry["stage"] for entry in history]
    starts = [number for number in range(1, len(stages)) if stages[number] != stages[number - 1]]
    for start in starts:
        axes.axvline(history[start]["epoch"] + 0.5, color="grey", linewidth=0.8, linestyle="--")
