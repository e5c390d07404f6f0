"""What is taken up from a checkpoint takes the course of what was never interrupted, to the last bit."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from alexnet_exp.config import RunConfig
from alexnet_exp.data import load_splits
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.weights import read_weights
from alexnet_exp.strategy import STRATEGIES, Fitted
from alexnet_exp.training.checkpoint import Checkpoints
from tests.conftest import Compose

PRETRAINED = ("weights=run", "weights.run_id=unused")
STAGES = (
    "strategy.stages=[{layers: [head], epochs: 2, learning_rate: 0.1},"
    "{layers: [head, fc7, conv5], epochs: 3, learning_rate: 0.01}]"
)
COURSES = {
    "scratch": [
        "training.epochs=9", "optimizer.learning_rate=0.02", "training.restore_best=true", "training.patience=3",
        "schedule=reduce_on_plateau", "schedule.patience=1", "schedule.monitor=val/loss",
        "augmentation=rotate_shift_shear_zoom",
    ],
    "finetune": ["strategy=finetune", STAGES, *PRETRAINED, "training.restore_best=true", "augmentation=flip"],
    "features_mlp": [
        "strategy=features_mlp", "strategy.epochs=5", "strategy.units=8", "optimizer=sgd", "schedule=one_cycle",
        *PRETRAINED,
    ],
}  # fmt: skip


class Killed(BaseException):
    """As by SIGKILL: nothing is tidied up."""


def train(config: RunConfig, folder: Path, killed_at: int | None = None) -> tuple[list[int], Fitted, np.ndarray]:
    """Trains in a fresh session; ends between the record of an epoch and its checkpoint.

    Returns:
      The epochs that were computed, the result, and its probabilities of the test images.
    """
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(7)
    build_alexnet(config.model, 10).save(folder / "network.keras")
    weights = None if config.strategy.name == "scratch" else read_weights(folder / "network.keras")
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    splits = load_splits(config.dataset, config.model.input_size, folder / "cache")
    computed: list[int] = []

    def on_epoch(epoch: int, metrics: Any) -> None:
        computed.append(epoch)
        if epoch == killed_at:
            raise Killed

    with Checkpoints(folder / "checkpoints") as checkpoints:
        result = STRATEGIES[config.strategy.name](config, splits, weights, on_epoch, checkpoints)
    return computed, result, result.predict_proba(splits.test, 64)


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if not name.startswith("time/")} for entry in history]


@pytest.mark.parametrize("name", COURSES)
def test_a_resumed_course_is_that_of_an_uninterrupted_one(tiny: Compose, tmp_path: Path, name: str) -> None:
    config = tiny(*COURSES[name])
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    epochs, whole, probabilities = train(config, tmp_path / "whole")
    assert len(epochs) > 3
    for killed_at in (1, 2, epochs[-1]):  # of finetune: in a stage, between stages, in the last epoch
        with pytest.raises(Killed):
            train(config, tmp_path / "parts", killed_at)
    computed, resumed, again = train(config, tmp_path / "parts")
    assert computed == [epochs[-1]]
    assert without_times(resumed.history) == without_times(whole.history)
    assert resumed.kept == whole.kept
    np.testing.assert_array_equal(again, probabilities)

    computed, ended, again = train(config, tmp_path / "parts")
    assert computed == []
    assert without_times(ended.history) == without_times(whole.history)
    np.testing.assert_array_equal(again, probabilities)
