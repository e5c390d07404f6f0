"""Each schedule gives the rates that its formula gives."""

import gc
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from alexnet_exp.config.compose import compose_config
from alexnet_exp.data.batches import array_feed
from alexnet_exp.training import one_pass
from alexnet_exp.training.course import Stage
from alexnet_exp.training.fit import fit
from alexnet_exp.training.optimizer import build_optimizer, keras_metric, plateau_callbacks

STEPS, EPOCHS = 10, 4


def rates(*overrides: str) -> list[float]:
    config = compose_config(list(overrides))
    optimizer = build_optimizer(config.optimizer, config.schedule, 0.1, STEPS, EPOCHS)
    found = []
    for step in range(STEPS * EPOCHS + 1):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_constant() -> None:
    assert rates("schedule=constant") == pytest.approx([0.1] * 41)


def test_step() -> None:
    found = rates("schedule=step", "schedule.every=2", "schedule.factor=0.5")
    assert found[:20] == pytest.approx([0.1] * 20)
    assert found[20:40] == pytest.approx([0.05] * 20)


def test_cosine() -> None:
    expected = [0.05 * (1 + math.cos(math.pi * step / 40)) for step in range(41)]
    assert rates("schedule=cosine") == pytest.approx(expected, abs=1e-7)


def test_cosine_with_warmup() -> None:
    found = rates("schedule=cosine", "schedule.warmup_epochs=1")
    assert found[5] == pytest.approx(0.05)
    assert found[10] == pytest.approx(0.1)
    assert found[40] == pytest.approx(0, abs=1e-7)


def test_one_cycle() -> None:
    found = rates("schedule=one_cycle", "schedule.warmup_fraction=0.25")
    assert max(found) == found[10] == pytest.approx(0.1)
    assert found[40] == pytest.approx(0, abs=1e-7)


def test_reduce_on_plateau_is_a_callback() -> None:
    settings = ["monitor=train/accuracy", "factor=0.3", "patience=7", "min_learning_rate=0.002"]
    schedule = compose_config(["schedule=reduce_on_plateau", *(f"schedule.{one}" for one in settings)]).schedule
    (callback,) = plateau_callbacks(schedule)
    found = callback.monitor, callback.factor, callback.patience, callback.min_lr, callback.min_delta
    assert found == ("accuracy", 0.3, 7, 0.002, 0)
    assert plateau_callbacks(compose_config(["schedule=constant"]).schedule) == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizer=sgd"], {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0005}),
        (["optimizer=sgd", "optimizer.weight_decay=0"], {"weight_decay": None}),
        (["optimizer=adam"], {"beta_1": 0.9, "weight_decay": None}),
        (["optimizer=adamw"], {"weight_decay": 0.004}),
    ],
)
def test_optimizers_take_their_settings(overrides: list[str], expected: dict[str, object]) -> None:
    config = compose_config(overrides)
    built = build_optimizer(config.optimizer, config.schedule, 0.1, STEPS, EPOCHS)
    assert {name: getattr(built, name) for name in expected} == expected
    assert type(built).__name__.lower() == config.optimizer.name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_kernels_alone_decay(optimizer: str) -> None:
    config = compose_config([f"optimizer={optimizer}", "optimizer.weight_decay=0.1"])
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    dense.layers[0].bias.assign(np.ones(3))
    built = build_optimizer(config.optimizer, config.schedule, 0.1, STEPS, EPOCHS)
    before = {variable.path: np.array(variable) for variable in dense.trainable_variables}
    built.apply_gradients([(np.zeros(variable.shape, np.float32), variable) for variable in dense.trainable_variables])
    changed = {variable.name for variable in dense.trainable_variables if (before[variable.path] != variable).any()}
    assert changed == {"kernel"}


def test_metric_names() -> None:
    assert keras_metric("val/accuracy") == "val_accuracy"
    assert keras_metric("train/loss") == "loss"


PLAIN = [
    (one_pass.Sgd, keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    (one_pass.Sgd, keras.optimizers.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    (one_pass.Sgd, keras.optimizers.SGD, {}),
    (one_pass.Adam, keras.optimizers.Adam, {"beta_1": 0.8}),
    (one_pass.AdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
]


@pytest.mark.parametrize(("fused", "plain", "options"), PLAIN)
def test_one_pass_takes_the_steps_of_keras(fused: type, plain: type, options: dict) -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 3, 4)).astype(np.float32)
    results = []
    for kind in (fused, plain):
        weights = keras.Variable(np.ones((3, 4), np.float32))
        optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 5), **options)
        for gradient in gradients:
            optimizer.apply_gradients([(gradient, weights)])
        results.append([np.asarray(variable) for variable in (weights, *optimizer.variables)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert np.abs(results[0][0] - 1).max() > 0.1


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_training_leaves_no_graph_in_memory(optimizer: str) -> None:
    config = compose_config([f"optimizer={optimizer}", "training.devices=1"])
    rows, labels = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32), np.arange(8) % 2

    def graphs_after_training() -> int:
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
        feed = array_feed([rows], ["center"], [rows], [labels, labels], 2, 4, 4, 0, range(1))
        stage = Stage("stage", range(1), 0.1)
        fit(network, feed, stage, config.training, config.optimizer, config.schedule, lambda *_: None)
        del network, feed
        keras.backend.clear_session()
        return sum(type(found) is tf.__internal__.FuncGraph for found in gc.get_objects())

    counts = [graphs_after_training() for _ in range(3)]
    assert counts[2] <= counts[1] <= counts[0]
