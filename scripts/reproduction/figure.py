"""Fine-tuning against training from scratch, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from alexnet_exp.evaluation.comparison_figures import bands
from alexnet_exp.evaluation.figures.style import STRATEGIES
from reproduction.store import COURSE

SHOWN = {"r4_scratch": "scratch", "r4_finetune": "fine-tuning, eight rounds", "r4_features_mlp": "features, MLP"}
METRICS = ("test/accuracy", "train/accuracy")


def courses(runs: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Accuracy on test and train after each epoch of R4's tasks; None before both of the first two have a run."""
    if any(runs.get(name, pd.DataFrame()).empty for name in ("r4_scratch", "r4_finetune")):
        return None
    points = [
        {"run_id": run["run_id"], "metric": metric, "step": step, "value": value, "arm": label}
        for name, label in SHOWN.items()
        for _, run in runs.get(name, pd.DataFrame()).iterrows()
        for metric in METRICS
        for step, value in enumerate(run[f"{COURSE}{metric}"][: len(run[f"{COURSE}train/accuracy"])])
    ]
    colors = {SHOWN[arm]: STRATEGIES[arm.removeprefix("r4_")] for arm in SHOWN}
    return bands(pd.DataFrame(points), colors)
