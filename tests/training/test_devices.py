"""Several devices take the same course as one; in a process of their own, as TensorFlow settles its devices once."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
import tensorflow as tf

from alexnet_exp.cli import main
from alexnet_exp.config.compose import compose_config
from alexnet_exp.data import load_splits
from alexnet_exp.errors import ConfigError, DeviceError
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.weights import read_weights
from alexnet_exp.strategy import STRATEGIES
from alexnet_exp.training import devices
from alexnet_exp.training.devices import choose_devices
from tests.conftest import REPO, TINY, Compose

SMALL = (*TINY, "dataset.limit_per_class=21", "optimizer=sgd", "schedule=constant")  # 180 training images
PLAIN = ("model.norm.kind=none", "model.dropout.rates.fc6=0", "model.dropout.rates.fc7=0", "training.batch_size=19")
PRETRAINED = ("weights=run", "weights.run_id=unused", "cache.dtype=float32")
STAGES = "strategy.stages=[{layers: [head, fc7, fc6, conv5], epochs: 2, learning_rate: 0.02}]"
EQUAL = {
    "scratch": (
        *PLAIN, "model.conv.conv2.groups=2", "optimizer.learning_rate=0.05", "training.epochs=3",
        "training.restore_best=true",
    ),
    "finetune": (*PLAIN, *PRETRAINED, "strategy=finetune", STAGES),
}  # fmt: skip
WHOLE = (  # with batch norm and dropout; the last batch of an epoch has one example, for two devices
    *SMALL, "training.batch_size=179", "training.epochs=2", "schedule=reduce_on_plateau", "training.devices=2",
)  # fmt: skip


def trained(count: int, folder: Path, words: tuple[str, ...]) -> dict[str, Any]:
    config = compose_config([*SMALL, *words, f"training.devices={count}", f"paths.cache={folder}"])
    choose_devices(config.training)
    keras.utils.set_random_seed(0)
    build_alexnet(config.model, 10).save(folder / "network.keras")
    splits = load_splits(config.dataset, config.model.input_size, folder)
    weights = None if config.strategy.name == "scratch" else read_weights(folder / "network.keras")
    fitted = STRATEGIES[config.strategy.name](config, splits, weights, lambda *_: None)
    probabilities = fitted.predict_proba(splits.test.subset(np.arange(50)), 32)
    return {"history": fitted.history, "probabilities": probabilities.tolist()}


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a process that did the command WHOLE, then the trainings of EQUAL, on two devices."""
    folder = tmp_path_factory.mktemp("two")
    environment = os.environ | {"PYTHONPATH": str(REPO), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_whole_run_ends_well(two_devices: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{two_devices / 'mlflow.db'}")
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.info.status == "FINISHED"
    assert found.data.tags["devices"] == "2"
    assert math.isfinite(found.data.metrics["val/loss"])
    assert math.isfinite(found.data.metrics["test/loss"])
    assert "trains on 2 devices" in mlflow.artifacts.load_text(f"runs:/{found.info.run_id}/run.log")


@pytest.mark.parametrize("name", EQUAL)
def test_two_devices_take_the_course_of_one(two_devices: Path, name: str, tmp_path: Path) -> None:
    one, two = trained(1, tmp_path, EQUAL[name]), json.loads((two_devices / "trained.json").read_text())[name]
    for metric, tolerance in (("train/loss", 5e-3), ("val/loss", 1e-4), ("val/accuracy", 1e-6)):
        curves = [[entry[metric] for entry in result["history"]] for result in (one, two)]
        np.testing.assert_allclose(curves[1], curves[0], rtol=tolerance, err_msg=metric)
    np.testing.assert_allclose(two["probabilities"], one["probabilities"], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(("examples", "weights"), [(4, [1, 1, 1, 1]), (3, [4 / 3, 4 / 3, 4 / 3, 0]), (1, [2, 0])])
def test_examples_are_repeated_without_weight_until_they_divide(examples: int, weights: list[float]) -> None:
    rows = np.arange(examples)
    images, labels, found = devices._divisible(tf.constant(rows), tf.constant(rows), 2)
    np.testing.assert_allclose(found, np.float32(weights))
    np.testing.assert_array_equal(images, labels)
    np.testing.assert_array_equal(images, [*rows, *rows][: len(weights)])


def test_a_copy_computes_the_same() -> None:
    data = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    standardize = keras.layers.Normalization()
    standardize.adapt(data)
    network = keras.Sequential([keras.Input((4,)), standardize, keras.layers.Dense(3)])
    copy = keras.models.clone_model(network)
    devices._copy_weights(network, copy)
    np.testing.assert_array_equal(copy(data), network(data))


def test_too_many_devices_are_named(tiny: Compose) -> None:
    tf.config.list_logical_devices()  # settles them
    with pytest.raises(DeviceError, match=r"^training\.devices: .*Options: 1\. Received: 2$"):
        choose_devices(tiny("training.devices=2").training)
    with pytest.raises(ConfigError, match=r"training\.devices: expected at most training\.batch_size, 32: .*: 33$"):
        tiny("training.devices=33")


def test_one_device_needs_no_gpu(tiny: Compose) -> None:
    assert choose_devices(tiny("training.devices=1").training) == choose_devices(tiny("training.devices=auto").training)


if __name__ == "__main__":
    sys.argv[1:] = WHOLE
    main()
    results = {name: trained(2, Path.cwd(), words) for name, words in EQUAL.items()}
    Path("trained.json").write_text(json.dumps(results))
