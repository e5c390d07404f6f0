"""The figures of merit of a classifier on one set of images. NumPy in, plain values out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report, confusion_matrix, f1_score, log_loss, top_k_accuracy_score
from statsmodels.stats.proportion import proportion_confint

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Report:
    """What is known about a classifier after its test.

    Attributes:
      metrics: `accuracy`, `accuracy_low`, `accuracy_high`, `top5_accuracy`, `macro_f1`,
        `loss`, `ece`.
      confusion: int64 `[classes, classes]`, true classes in rows.
      predictions: a row for each example with `id`, `label`, `prediction` and `probabilities`.
      per_class: scikit-learn's classification report.
      class_names: one for each row of `confusion`.
    """

    metrics: dict[str, float]
    confusion: np.ndarray
    predictions: pd.DataFrame
    per_class: dict[str, Any]
    class_names: list[str]


def evaluate(probabilities: np.ndarray, labels: np.ndarray, ids: list[str], class_names: list[str]) -> Report:
    """Compares probabilities `[N, classes]` with labels `[N]`.

    Raises:
      ValueError: when a probability is not finite.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("expected finite probabilities. Received: NaN or infinity, the training diverged")
    classes = np.arange(len(class_names))
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    low, high = proportion_confint(correct.sum(), len(labels), alpha=0.05, method="wilson")
    normalized = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    metrics = {
        "accuracy": float(correct.mean()),
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "macro_f1": float(f1_score(labels, predicted, average="macro", labels=classes, zero_division=0)),
        "loss": float(log_loss(labels, normalized, labels=classes)),
        "ece": expected_calibration_error(probabilities, labels),
    }
    top5 = top_k_accuracy_score(labels, probabilities, k=5, labels=classes) if len(class_names) > 5 else 1.0
    metrics["top5_accuracy"] = float(top5)
    predictions = pd.DataFrame(
        {"id": ids, "label": labels, "prediction": predicted, "probabilities": probabilities.tolist()}
    )
    per_class = classification_report(
        labels, predicted, labels=classes, target_names=class_names, output_dict=True, zero_division=0
    )
    confusion = confusion_matrix(labels, predicted, labels=classes)
    return Report(metrics, confusion, predictions, per_class, class_names)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over 15 bins of equal width (Guo et al. 2017, equation 3)."""
    bins = calibration_bins(probabilities, labels)
    return float((bins["count"] / len(labels) * (bins["confidence"] - bins["accuracy"]).abs()).sum())


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The examples in 15 bins by the probability of their predicted class.

    Returns:
      For each bin that has examples: mean `confidence`, `accuracy` and `count`; the index is the number of the bin.
    """
    confidence = probabilities.max(axis=1)
    bins = np.clip((confidence * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    correct = probabilities.argmax(axis=1) == labels
    examples = pd.DataFrame({"bin": bins, "confidence": confidence.astype(np.float64), "accuracy": correct})
    return examples.groupby("bin").agg(
        confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), count=("accuracy", "size")
    )
