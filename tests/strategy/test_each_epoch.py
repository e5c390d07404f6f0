"""Test accuracy after each epoch, where it is asked for, is what the network gives, and changes nothing else."""

from pathlib import Path

import keras
import pytest

from alexnet_exp.config import RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.strategy import STRATEGIES, Fitted
from tests.conftest import Compose
from tests.strategy.test_strategies import PRETRAINED, STAGES, pretrained, splits_of

STRATEGY = {
    "scratch": ["strategy=scratch", "training.epochs=2", "training.restore_best=true"],
    "finetune": ["strategy=finetune", STAGES, *PRETRAINED],
    "features_mlp": ["strategy=features_mlp", "strategy.units=8", "training.epochs=2", *PRETRAINED],
}


def fitted(config: RunConfig, splits: Splits, folder: Path) -> tuple[Fitted, list[dict[str, float]]]:
    weights = None if config.strategy.name == "scratch" else pretrained(config, folder)
    keras.utils.set_random_seed(config.seed)
    seen: list[dict[str, float]] = []
    return STRATEGIES[config.strategy.name](config, splits, weights, lambda _, metrics: seen.append(metrics)), seen


@pytest.mark.parametrize("name", STRATEGY)
def test_each_epoch_has_its_test_accuracy(tiny: Compose, tmp_path: Path, name: str) -> None:
    config, plain = tiny(*STRATEGY[name], "evaluation.test_each_epoch=true"), tiny(*STRATEGY[name])
    splits = splits_of(config, tmp_path)
    result, seen = fitted(config, splits, tmp_path)
    again, unseen = fitted(plain, splits, tmp_path)
    assert len(seen) == 2
    assert not any("test/accuracy" in metrics for metrics in unseen)
    untimed = [name for name in unseen[0] if not name.startswith("time/")]
    assert [[metrics[name] for name in untimed] for metrics in seen] == [
        [metrics[name] for name in untimed] for metrics in unseen
    ]
    assert result.kept == again.kept
    probabilities = result.predict_proba(splits.test, 64)
    accuracy = (probabilities.argmax(axis=1) == splits.test.labels).mean()
    assert seen[result.kept]["test/accuracy"] == pytest.approx(accuracy, abs=1e-6)
