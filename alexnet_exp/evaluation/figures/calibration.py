"""Whether probabilities can be believed."""

import numpy as np
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from alexnet_exp.evaluation.figures.style import FAINT, GREY, styled
from alexnet_exp.evaluation.metrics import CALIBRATION_BINS, Report, calibration_bins


@styled
def reliability(report: Report, color: str) -> Figure:
    """Accuracy over confidence with 95 % Wilson intervals, and how many test images have which confidence."""
    probabilities = np.array(report.predictions["probabilities"].tolist())
    bins = calibration_bins(probabilities, report.predictions["label"].to_numpy())
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="calibrated")
    low, high = proportion_confint(bins["accuracy"] * bins["count"], bins["count"], method="wilson")
    above.vlines(bins["confidence"], low, high, color=color, alpha=0.4, linewidth=3)
    above.plot(bins["confidence"], bins["accuracy"], "o", color=color, markersize=6, label="accuracy, 95 % interval")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    above.set_title(f"expected calibration error {report.metrics['ece']:.3f}, n = {len(report.predictions)}")
    above.legend(loc="upper left")
    width = 1 / CALIBRATION_BINS
    below.bar((bins.index + 0.5) * width, bins["count"], width * 0.92, color=FAINT)
    below.set(xlabel="confidence: probability of the predicted class", ylabel="images")
    return figure
