"""Figures of runs at the edges: many classes, strange names, one class, one epoch, nothing wrong."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from alexnet_exp.data import ImageSet
from alexnet_exp.evaluation.figures.calibration import reliability
from alexnet_exp.evaluation.figures.classes import MOST_NAMED, confusion_matrix, per_class
from alexnet_exp.evaluation.figures.curves import curves
from alexnet_exp.evaluation.figures.features import Seen, embedding, neighbours
from alexnet_exp.evaluation.figures.images import confident_mistakes, mistake_grid, prediction_grid, spread
from alexnet_exp.evaluation.figures.style import PALETTE, RIGHT, STRATEGIES, WRONG, colors_of, png, shortened
from alexnet_exp.evaluation.metrics import Report, evaluate

STRANGE = ["", "a$b^c$d$", "猫", "Ελληνικά", "two\nlines", "x" * 300, "\\alpha", "%s{}", "🐈"]
COLOR = STRATEGIES["scratch"]
EPOCH = {"train/loss": 1.0, "val/loss": 1.1, "train/accuracy": 0.5, "val/accuracy": 0.4}


def report_of(class_names: list[str], probabilities: np.ndarray, labels: np.ndarray) -> tuple[Report, ImageSet]:
    """A report, and grey images of 8 pixels that it could be of."""
    count = len(labels)
    ids = [str(number) for number in range(count)]
    store = np.repeat(np.arange(count * 64, dtype=np.int64).astype(np.uint8).reshape(count, 8, 8, 1), 3, axis=-1)
    report = evaluate(probabilities.astype(np.float32), labels, ids, class_names)
    return report, ImageSet(store, np.arange(count), labels.astype(np.int32), ids, ids)


def random_test(class_names: list[str], each: int = 3) -> tuple[Report, ImageSet]:
    classes = len(class_names)
    labels = np.repeat(np.arange(classes), each)
    return report_of(class_names, np.random.default_rng(0).dirichlet(np.ones(classes), len(labels)), labels)


def all_figures(report: Report, images: ImageSet) -> dict[str, Callable[[], Figure]]:
    features = np.random.default_rng(0).normal(size=(len(images), 6)).astype(np.float32)
    seen, predictions = Seen(images, features), report.predictions["prediction"].to_numpy()
    return {
        "confusion": lambda: confusion_matrix(report, normalized=False),
        "normalized": lambda: confusion_matrix(report, normalized=True),
        "per class": lambda: per_class(report, COLOR),
        "reliability": lambda: reliability(report, COLOR),
        "predictions": lambda: prediction_grid(report, images),
        "mistakes": lambda: mistake_grid(report, images),
        "embedding": lambda: embedding(seen, predictions, report.class_names, seed=0),
        "neighbours": lambda: neighbours(seen, seen, report.class_names),
    }


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize(
    "names", [STRANGE, [f"class {number}" for number in range(MOST_NAMED + 10)]], ids=["odd", "many"]
)
def test_no_name_and_no_number_of_classes_stops_a_figure(names: list[str]) -> None:
    for draw in all_figures(*random_test(names, each=1)).values():
        width, height = Image.open(io.BytesIO(png(draw()))).size
        assert max(width, height) < 2500


def test_predictions_of_one_class_can_be_drawn() -> None:
    report, images = report_of(["a", "b"], np.tile([0.9, 0.1], (5, 1)), np.array([0, 0, 0, 1, 1]))
    for draw in all_figures(report, images).values():
        png(draw())
    assert "mistakes" in mistake_grid(report, images).axes[0].texts[0].get_text()


def test_without_mistakes_the_grid_says_so() -> None:
    report, images = report_of(["a", "b"], np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    for draw in all_figures(report, images).values():
        png(draw())
    assert texts(mistake_grid(report, images)) == ["0 mistakes in 2 test images"]


@pytest.mark.parametrize("classes", [2, 17, 100])
def test_every_class_is_named_legibly(classes: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    report, _ = random_test(names)
    for normalized in (True, False):
        axes = confusion_matrix(report, normalized).axes[0]
        labels = [text for text in axes.texts if text.get_text() in names]
        assert sorted(text.get_text() for text in labels) == sorted(2 * names)
        assert min(text.get_fontsize() for text in labels) >= 6
    rows = [tick for axes in per_class(report, COLOR).axes for tick in axes.get_yticklabels()]
    assert [tick.get_text().rpartition("  ")[0] for tick in rows] == names
    figure = confusion_matrix(report, normalized=True)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in names]
    across, down = boxes[1::2], boxes[::2]
    assert all(first.x1 <= second.x0 + 1 for first, second in pairwise(across))
    assert all(first.y0 + 1 >= second.y1 for first, second in pairwise(down))
    assert all(figure.bbox.padded(1).contains(box.x0, box.y0) for box in boxes)


def test_titles_are_blue_where_right_and_red_where_wrong() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    report, images = report_of(["cat", "dog"], probabilities, np.array([0, 1, 1]))
    drawn = [(text.get_text(), text.get_color()) for text in prediction_grid(report, images).axes[0].texts[1:]]
    assert drawn == [("cat 90%", RIGHT), ("cat 70%\nis dog", WRONG), ("cat 60%\nis dog", WRONG)]
    assert confident_mistakes(report, 5).tolist() == [1, 2]
    assert confident_mistakes(report, 1).tolist() == [1]


def test_neighbours_are_the_nearest_in_feature_space() -> None:
    _, images = random_test(["a", "b"], each=4)
    train = Seen(images, np.array([[0.0], [3], [1], [9], [2], [8], [7], [6]], np.float32))
    figure = neighbours(Seen(images.subset(np.array([0])), np.zeros((1, 1), np.float32)), train, ["a", "b"])
    shown = [image.get_array()[0, 0, 0] for image in figure.axes[0].images]
    assert shown == [images.store[row, 0, 0, 0] for row in (0, 0, 2, 4, 1, 7, 6)]
    colors = [text.get_color() for text in figure.axes[0].texts[2:]]
    assert colors == [RIGHT, RIGHT, WRONG, RIGHT, WRONG, WRONG]


@pytest.mark.parametrize("epochs", [1, 40])
def test_curves_mark_stages_and_the_best_epoch(epochs: int) -> None:
    history = [{"epoch": 0, "stage": "stage 1/2"} | EPOCH]
    history += [{"epoch": number, "stage": "stage 2/2"} | EPOCH for number in range(1, epochs)]
    history[-1]["val/accuracy"] = 0.75
    figure = curves(history, "finetune on digits", COLOR)
    png(figure)
    loss, accuracy = figure.axes
    assert f"best val 0.75, epoch {epochs}" in [text.get_text() for text in accuracy.get_legend().texts]
    assert [text.get_text().strip() for text in loss.texts] == (["stage 1", "stage 2"] if epochs > 1 else [])


def test_curves_of_losses_that_fall_far_and_diverge() -> None:
    losses = [100.0, 1.0, 0.01, np.inf, np.nan]
    history = [{"epoch": n, "stage": "s"} | EPOCH | {"val/loss": loss} for n, loss in enumerate(losses)]
    figure = curves(history, "t", COLOR)
    png(figure)
    assert figure.axes[0].get_yscale() == "log"
    assert not any("$" in tick.get_text() for tick in figure.axes[0].get_yticklabels(which="both"))


def test_curves_of_an_svm_are_over_c() -> None:
    entries = [{"epoch": n, "stage": "C", "svm/c": 10.0**-n, "train/accuracy": 1, "val/accuracy": 0.5} for n in (1, 0)]
    (axes,) = curves(entries, "features_svm", COLOR).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.1", "1"]


def test_a_figure_that_fails_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    from alexnet_exp.evaluation.figures.of_run import _drawn  # with TensorFlow

    def fail() -> Figure:
        raise MemoryError("no room")

    assert _drawn("embedding", fail) is None
    assert "the figure embedding was not drawn (MemoryError: no room)" in caplog.text


def test_strategies_keep_their_colours() -> None:
    assert colors_of(["features_svm", "other", "scratch"]) == {
        "features_svm": STRATEGIES["features_svm"], "other": PALETTE[1], "scratch": STRATEGIES["scratch"],
    }  # fmt: skip
    assert len(set(colors_of([str(number) for number in range(20)]).values())) == len(PALETTE)


def test_names_are_cut_in_the_middle() -> None:
    assert shortened("a name\nin lines", 20) == "a name in lines"
    assert shortened("n02085620-Chihuahua", 12) == "n0208562…hua"
    assert shortened("x" * 50, 10) == "xxxxxx…xxx"


def test_a_spread_reaches_from_the_first_to_the_last() -> None:
    assert spread(5, 3).tolist() == [0, 2, 4]
    assert spread(2, 8).tolist() == [0, 1]
    assert spread(0, 8).tolist() == []
