"""What a stage of training reports is what the formulas give."""

import keras
import numpy as np
import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data.batches import array_feed
from alexnet_exp.training.course import Stage
from alexnet_exp.training.fit import fit

ROWS, CLASSES = 6, 3
LABELS = np.arange(ROWS) % CLASSES
ONE_HOT = np.eye(CLASSES)[LABELS]


def cross_entropy(probabilities: np.ndarray, smoothing: float) -> float:
    return -((ONE_HOT * (1 - smoothing) + smoothing / CLASSES) * np.log(probabilities)).sum(axis=1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_with_smoothed_labels(smoothing: float) -> None:
    history, probabilities = one_epoch_without_learning(f"training.label_smoothing={smoothing}")
    assert history["train/loss"] == pytest.approx(cross_entropy(probabilities, smoothing), rel=1e-5)
    assert history["val/loss"] == pytest.approx(history["train/loss"], rel=1e-5)
    assert history["val/accuracy"] == pytest.approx((probabilities.argmax(axis=1) == LABELS).mean())


def test_mean_squared_error() -> None:
    history, probabilities = one_epoch_without_learning("training.loss=mean_squared_error")
    assert history["train/loss"] == pytest.approx(((probabilities - ONE_HOT) ** 2).mean(), rel=1e-5)


def one_epoch_without_learning(*overrides: str) -> tuple[dict, np.ndarray]:
    config = compose_config(["optimizer=sgd", "optimizer.weight_decay=0", "training.devices=1", *overrides])
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(CLASSES, "softmax")])
    rows = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
    feed = array_feed([rows], ["center"], [rows], [LABELS, LABELS], CLASSES, 4, 4, 0, range(1))
    training = (config.training, config.optimizer, config.schedule)
    (epoch,) = fit(network, feed, Stage("stage", range(1), 0.0), *training, lambda *_: None)
    return epoch, network.predict(rows, verbose=0)
