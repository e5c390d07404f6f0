"""Fine-tuning against training from scratch, epoch by epoch."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from alexnet_exp.evaluation.comparison_figures import bands
from alexnet_exp.evaluation.figures.style import STRATEGIES
from alexnet_exp.tracking.query import read_curves

SHOWN = {"r4_scratch": "scratch", "r4_finetune": "fine-tuning, eight rounds", "r4_features_mlp": "features, MLP"}
METRICS = ("test/accuracy", "train/accuracy")


def courses(runs: Mapping[str, pd.DataFrame]) -> Figure | None:
    """Accuracy on test and train after each epoch of R4's tasks; None before both of the first two have a run."""
    if any(runs.get(name, pd.DataFrame()).empty for name in ("r4_scratch", "r4_finetune")):
        return None
    curves = [
        read_curves(runs[name]["run_id"], METRICS).assign(arm=label)
        for name, label in SHOWN.items()
        if name in runs and not runs[name].empty
    ]
    found = pd.concat(curves)
    epochs = found.loc[found["metric"] == "train/accuracy", "step"].max()
    colors = {SHOWN[arm]: STRATEGIES[arm.removeprefix("r4_")] for arm in SHOWN}
    return bands(found[found["step"] <= epochs], colors)  # the step after the last epoch has the final figure
