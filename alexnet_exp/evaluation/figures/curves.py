"""Loss and accuracy over the epochs."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from alexnet_exp.evaluation.figures.style import GREY, INK, WIDTH, styled

LOG_FROM = 30  # ratio of the largest to the smallest loss
PARTS = {"train": "--", "val": "-", "test": ":"}


@styled
def curves(history: list[dict[str, Any]], title: str, color: str) -> Figure:
    """Loss and accuracy of train and val for each epoch, or accuracy for each C of an SVM.

    The stages of fine-tuning are marked, and the best epoch on val.

    Args:
      history: for each epoch its metrics, with `epoch` and `stage`.
      title: above the figure.
      color: of the strategy.
    """
    names = [name for name in ("loss", "accuracy") if f"val/{name}" in history[0]]
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        if "svm/c" in history[0]:
            places = list(range(len(history)))
            axes.set_xticks(places, [f"{entry['svm/c']:g}" for entry in history])
            axes.set(xlabel="C")
        else:
            places = [entry["epoch"] + 1 for entry in history]
            axes.set(xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if len(places) == 1:
                axes.set_xlim(places[0] - 1, places[0] + 1)
        for part, dashes in PARTS.items():
            if f"{part}/{name}" in history[0]:
                values = [entry[f"{part}/{name}"] for entry in history]
                shade = color if part == "val" else GREY if part == "train" else INK
                axes.plot(places, values, dashes, color=shade, label=part, marker="." if len(places) <= 30 else None)
        _mark_best(axes, history, places, name, color)
        _scale(axes, history, name)
        _mark_stages(axes, history)
        axes.set(ylabel=name)
        axes.legend()
    return figure


def _mark_best(axes: Axes, history: list[dict[str, Any]], places: list[int], name: str, color: str) -> None:
    values = np.array([entry[f"val/{name}"] for entry in history], float)
    if not np.isfinite(values).any():
        return
    best = int(np.nanargmax(values) if name == "accuracy" else np.nanargmin(values))
    at = f"C {history[best]['svm/c']:g}" if "svm/c" in history[best] else f"epoch {places[best]}"
    label = f"best val {values[best]:.3g}, {at}"
    axes.plot(places[best], values[best], "o", color=color, markersize=10, fillstyle="none", label=label)


def _scale(axes: Axes, history: list[dict[str, Any]], name: str) -> None:
    if name == "loss":
        values = [entry[f"{part}/loss"] for entry in history for part in PARTS if f"{part}/loss" in entry]
        finite = [value for value in values if np.isfinite(value)]
        if finite and min(finite) > 0 and max(finite) / min(finite) > LOG_FROM:
            logarithmic(axes)


def logarithmic(axes: Axes) -> None:
    """Makes the vertical axis logarithmic, with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))


def _mark_stages(axes: Axes, history: list[dict[str, Any]]) -> None:
    stages = [entry["stage"] for entry in history]
    starts = [number for number in range(len(stages)) if number == 0 or stages[number] != stages[number - 1]]
    if len(starts) == 1:
        return
    for number, start in enumerate(starts, start=1):
        left = history[start]["epoch"] + 0.5
        if number > 1:
            axes.axvline(left, color=GREY, linewidth=0.8, linestyle=":")
        name = f" stage {number}" if len(starts) <= 3 else f" {number}"
        axes.text(left, 1.01, name, transform=axes.get_xaxis_transform(), fontsize=8, color=GREY, va="bottom")
    if len(starts) > 3:
        axes.text(0, 1.01, "stage ", transform=axes.transAxes, fontsize=8, color=GREY, ha="right", va="bottom")
