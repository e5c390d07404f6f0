"""The recipes of the reference systems have the sizes and the protocol that were published."""

from pathlib import Path

import pytest

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.geometry import output_sizes
from alexnet_exp.config.layer_table import layer_table
from alexnet_exp.config.schema import Finetune, ReduceOnPlateau, Sgd
from tests.config.test_config import FILES


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EXP_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    for name in FILES:
        (tmp_path / name).touch()


def recipe(name: str) -> RunConfig:
    return compose_config([f"experiment={name}"])


def parameters(config: RunConfig, classes: int) -> dict[str, int]:
    return {layer.name: layer.parameters for layer in layer_table(config.model, classes) if layer.parameters}


@pytest.mark.usefixtures("data")
def test_r1_normalises_the_input_of_every_layer() -> None:
    model = recipe("r1_flowers17").model
    assert (model.input_size, model.conv["conv1"].filters) == (224, 96)
    assert (model.norm.kind, model.norm.position, model.norm.layers) == ("batch", "before_layer", model.layers)
    assert {name for name, rate in model.dropout.rates.items() if rate} == {"fc6", "fc7"}


@pytest.mark.usefixtures("data")
def test_r2_is_the_published_network_and_protocol() -> None:
    config = recipe("r2_cifar10")
    sizes = {"conv1": 8, "pool1": 4, "conv2": 4, "pool2": 2, "conv3": 2, "conv4": 2, "conv5": 2, "pool5": 1}
    assert output_sizes(config.model) == sizes
    counts = parameters(config, 10)
    dense = {name: count for name, count in counts.items() if name in ("fc6", "fc7", "fc8", "head")}
    assert dense == {"fc6": 257 * 4096, "fc7": 4097 * 4096, "fc8": 4097 * 1000, "head": 10_010}
    assert counts["conv1"] == 96 * (11 * 11 * 3 + 1)
    assert counts["head_norm"] == 40
    assert config.model.dropout.rates["fc8"] == 0.4
    assert config.model.preprocess.scale == 1
    assert (config.dataset.val_fraction, config.training.batch_size, config.training.epochs) == (0.3, 100, 100)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("adam", 0.001)
    rule = config.schedule
    assert isinstance(rule, ReduceOnPlateau)
    found = (rule.monitor, rule.factor, rule.patience, rule.min_learning_rate)
    assert found == ("val/accuracy", 0.01, 3, 1e-5)
    moves = config.augmentation
    assert (moves.rotation, moves.flip, moves.zoom, moves.shift, moves.shear) == (2, True, 0.1, 0, 0)


@pytest.mark.usefixtures("data")
def test_the_short_recipe_of_r2_has_its_network_and_split() -> None:
    published, short = recipe("r2_cifar10"), recipe("r2_cifar10_short")
    assert (short.model, short.dataset) == (published.model, published.dataset)
    assert short.training.epochs == 15


@pytest.mark.usefixtures("data")
def test_r3_has_62_million_parameters() -> None:
    counts = [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000, 2_002]
    config = recipe("r3_bikes_vs_ships")
    assert list(parameters(config, 2).values()) == counts
    assert sum(counts) == 62_380_346
    assert (config.training.batch_size, config.training.epochs) == (32, 100)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(("name", "rate"), [("r4_scratch", 0.01), ("r4_finetune", 0.01), ("r4_features_mlp", 0.001)])
def test_r4_is_trained_as_published(name: str, rate: float) -> None:
    config = recipe(name)
    assert (config.training.loss, config.training.batch_size) == ("mean_squared_error", 16)
    assert config.evaluation.test_each_epoch
    assert config.optimizer == Sgd(name="sgd", learning_rate=rate, momentum=0.9, nesterov=True, weight_decay=0)
    if isinstance(config.strategy, Finetune):
        assert [(len(stage.layers), stage.epochs) for stage in config.strategy.stages] == [(n, 10) for n in range(1, 9)]
        assert [stage.learning_rate for stage in config.strategy.stages] == [0.01, *[0.001] * 2, *[0.0001] * 5]
    else:
        assert config.training.epochs == 80
