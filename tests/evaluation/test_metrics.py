"""The figures of merit against cases computed by hand."""

import numpy as np
import pytest

from alexnet_exp.evaluation.figures import classes as figures
from alexnet_exp.evaluation.metrics import evaluate, expected_calibration_error

NAMES = ["ant", "bee", "cat"]
LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.5, 0.1, 0.4]], np.float32
)
IDS = list("vwxyz")


def test_a_report_by_hand() -> None:
    report = evaluate(PROBABILITIES, LABELS, IDS, NAMES)
    np.testing.assert_array_equal(report.confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 0]])
    assert report.metrics["accuracy"] == pytest.approx(3 / 5)
    assert report.metrics["accuracy_low"] == pytest.approx(0.2307, abs=1e-4)  # Wilson, 3 of 5
    assert report.metrics["accuracy_high"] == pytest.approx(0.8824, abs=1e-4)
    assert report.metrics["macro_f1"] == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    assert report.metrics["loss"] == pytest.approx(-np.log([0.8, 0.1, 0.7, 0.6, 0.4]).mean(), rel=1e-5)
    assert report.metrics["top5_accuracy"] == 1
    assert report.predictions["prediction"].tolist() == [0, 1, 1, 1, 0]
    assert report.per_class["bee"]["recall"] == 1


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    labels = np.array([0, 1, 0, 1])  # bins: two at 0.9, half right; one at 0.6, right; one at 0.7, right
    assert expected_calibration_error(probabilities, labels) == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)


def test_top5_counts_the_five_best() -> None:
    probabilities = np.tile(np.linspace(0.2, 0.1, 7), (7, 1)).astype(np.float32)
    report = evaluate(probabilities, np.arange(7), list("abcdefg"), list("ABCDEFG"))
    assert report.metrics["top5_accuracy"] == pytest.approx(5 / 7)


def test_diverged_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="diverged"):
        evaluate(PROBABILITIES * np.nan, LABELS, IDS, NAMES)


@pytest.mark.parametrize("classes", [2, 17, 100])
def test_confusion_figures_name_every_class(classes: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"class {number}" for number in range(classes)]
    labels = np.arange(3 * classes) % classes
    report = evaluate(rng.dirichlet(np.ones(classes), 3 * classes), labels, [str(i) for i in labels], names)
    for normalized in (True, False):
        axes = figures.confusion_matrix(report, normalized).axes[0]
        texts = [text.get_text() for text in axes.texts]
        assert all(texts.count(name) == 2 for name in names)
