"""The figures of a comparison, as Matplotlib figures that are not tied to a window or to global state."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from alexnet_exp.evaluation.compare import BETTER, WORSE, Comparison
from alexnet_exp.evaluation.figures.curves import LOG_FROM, logarithmic
from alexnet_exp.evaluation.figures.style import GREY, PALETTE, colors_of, shortened, styled
from alexnet_exp.evaluation.tables import number, probability

MOST_ARMS = len(PALETTE)  # in one figure


@styled
def forest(comparison: Comparison, effects: pd.DataFrame, colors: Mapping[str, str]) -> Figure:
    """Differences to the baseline with their 95 % intervals and numbers; filled where the arms are told apart.

    Args:
      comparison: names the metric and the baseline.
      effects: rows of the comparison's effects.
      colors: of the arms that have one.
    """
    figure = Figure(figsize=(10.5, 1.3 + 0.36 * max(len(effects), 1)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.9)
    for place, (arm, row) in enumerate(effects.iterrows()):
        color = colors.get(str(arm), GREY)
        fill = color if row["verdict"] in (BETTER, WORSE) else "white"
        if not np.isnan(row["low"]):
            axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2.2, solid_capstyle="butt")
        axes.plot(row["difference"], place, "s", color=color, markerfacecolor=fill, markersize=7)
        interval = "" if np.isnan(row["low"]) else f" [{number(row['low'], True)}, {number(row['high'], True)}]"
        holm = "" if np.isnan(row["p_holm"]) else f"  p (Holm) {probability(row['p_holm']).replace('<0', '< 0')}"
        text = f"{number(row['difference'], True)}{interval}{holm}"
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    axes.set_yticks(range(len(effects)), [shortened(str(arm), 40) for arm in effects.index])
    axes.set(ylim=(len(effects) - 0.4, -0.6), xlabel=f"difference in {comparison.metric} to {comparison.baseline}")
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def bands(curves: pd.DataFrame, colors: Mapping[str, str]) -> Figure:
    """The mean over the seeds for each epoch, in a band from the lowest to the highest seed.

    Args:
      curves: `arm`, `metric`, `step`, `value`, a row for each run and epoch.
      colors: of the arms that are drawn.
    """
    metrics = list(dict.fromkeys(curves["metric"]))
    arms = list(dict.fromkeys(curves["arm"]))
    figure = Figure(figsize=(5.6 * len(metrics), 4.2 + 0.2 * len(arms)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(metrics)))
    for axes, metric in zip(panels, metrics, strict=True):
        shown = curves[(curves["metric"] == metric) & np.isfinite(curves["value"])]
        for arm in [arm for arm in arms if arm in colors]:
            color = colors[arm]
            spread = shown[shown["arm"] == arm].groupby("step")["value"].agg(["mean", "min", "max"])
            _band(axes, spread.set_axis(spread.index + 1), color, ".", shortened(arm, 50))
        low, high = shown["value"].min(), shown["value"].max()
        axes.set(xlabel="epoch", title=metric)
        if low > 0 and high / low > LOG_FROM:
            logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(arms), 4))
    return figure


@styled
def learning_curves(runs: pd.DataFrame, metric: str) -> Figure:
    """The metric over the images a class to learn from, a line for each strategy: mean, and lowest to highest run.

    Args:
      runs: `strategy`, `images` (a class) and `value`, a row for each.
      metric: that `value` holds.
    """
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    for strategy, color in colors_of(sorted(set(runs["strategy"]))).items():
        spread = runs[runs["strategy"] == strategy].groupby("images")["value"].agg(["mean", "min", "max"])
        _band(axes, spread, color, "o", strategy)
    sizes = sorted(set(runs["images"]))
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set(xlabel="images a class to learn from", ylabel=metric)
    axes.legend()
    return figure


@styled
def confusion(matrix: np.ndarray, class_names: list[str], title: str) -> Figure:
    """One of several confusion matrices that stand side by side: the share of each true class in per cent.

    Args:
      matrix: counts `[classes, classes]`, true classes in rows.
      class_names: one for each row.
      title: above the matrix.
    """
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    _draw_confusion(axes, matrix, [shortened(name, 14) for name in class_names])
    axes.set_title(shortened(title, 44), fontsize=11)
    return figure


def _band(axes: Axes, spread: pd.DataFrame, color: str, marker: str, label: str) -> None:
    """`mean` as a line over the index, in a band from `min` to `max`."""
    axes.fill_between(spread.index, spread["min"], spread["max"], color=color, alpha=0.15, linewidth=0)
    axes.plot(spread.index, spread["mean"], color=color, marker=marker, label=label)


def _draw_confusion(axes: Axes, matrix: np.ndarray, names: list[str]) -> None:
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.grid(False)
    axes.imshow(share, vmin=0, vmax=100)
    size = float(np.clip(120 / len(names), 4, 10))
    if len(names) <= 40:
        rotation = 90 if max(map(len, names)) > 2 else 0
        axes.set_xticks(range(len(names)), names, fontsize=size, rotation=rotation)
        axes.set_yticks(range(len(names)), names, fontsize=size)
    else:
        axes.set(xticks=[], yticks=[])
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 20:
        for row, column in zip(*np.nonzero(share >= 1), strict=True):
            value = share[row, column]
            color = "white" if value > 55 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=size * 0.9, color=color)
