"""Weights load strictly: what is missing, unused or of another shape is named."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.errors import WeightsError
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.weights import adapt_model, load_weights, read_weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "network.keras"
    build_alexnet(compose_config([]).model, 10).save(path)
    return path


def build(*overrides: str, classes: int = 10) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_alexnet(compose_config(list(overrides)).model, classes)


def test_all_layers_but_the_fresh_ones_are_loaded(saved: Path) -> None:
    pretrained = read_weights(saved)
    network = build(classes=3)
    head = network.get_layer("head").get_weights()[0]
    load_weights(network, pretrained, fresh=["head"])
    np.testing.assert_array_equal(network.get_layer("conv1").kernel, pretrained.values["conv1/kernel"])
    moving_mean = network.get_layer("conv3_norm").moving_mean
    np.testing.assert_array_equal(moving_mean, pretrained.values["conv3_norm/moving_mean"])
    np.testing.assert_array_equal(network.get_layer("head").get_weights()[0], head)


def test_preprocessing_and_lrn_travel_with_the_weights(saved: Path, tmp_path: Path) -> None:
    lrn = ("model.norm={kind: lrn, layers: [conv1]}", "model.norm.lrn={size: 3, alpha: 0.5, k: 1}")
    pixels = ("model.preprocess={channels: bgr, scale: 2, mean: [1, 2, 3]}",)
    network, other = build(*lrn, *pixels), compose_config(["model.norm={kind: lrn, layers: [conv1]}"]).model
    network.save(tmp_path / "network.keras")
    pretrained = read_weights(tmp_path / "network.keras")
    adapted = adapt_model(other, pretrained)
    assert adapted == compose_config([*lrn, *pixels]).model != other
    twin = build_alexnet(adapted, 10)
    load_weights(twin, pretrained, fresh=[])
    images = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape[1:]), np.uint8)
    np.testing.assert_array_equal(twin(images), network(images))
    assert read_weights(saved).lrn is None


def test_a_keras_file_with_constants_that_no_network_can_have_is_refused(tmp_path: Path) -> None:
    network = build("model.norm={kind: lrn, layers: [conv1]}")
    network.get_layer("conv1_norm").size = 4
    network.save(tmp_path / "network.keras")
    with pytest.raises(WeightsError, match="an odd number of channels"):
        read_weights(tmp_path / "network.keras")


def test_a_keras_file_with_values_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    network = build()
    network.get_layer("conv2").bias.assign(np.full(48, np.nan))
    network.save(tmp_path / "network.keras")
    with pytest.raises(WeightsError, match=r"conv2/bias: expected finite values\. Received: 48 NaN"):
        read_weights(tmp_path / "network.keras")


@pytest.mark.parametrize(
    ("overrides", "classes", "fresh", "words"),
    [
        ([], 3, [], r"head/kernel: expected shape \(128, 3\)\. Received: \(128, 10\)"),
        (["model.conv.conv2.kernel=3"], 10, [], r"conv2/kernel: expected shape \(3, 3, 24, 48\)"),
        (["+model.dense.fc8=20"], 10, ["head"], r"missing in the weights: fc8/bias, fc8/kernel"),
        (["model.norm.layers=[conv1]"], 10, [], r"not in the model: conv2_norm/beta"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    saved: Path, overrides: list[str], classes: int, fresh: list[str], words: str
) -> None:
    network = build(*overrides, classes=classes)
    before = network.get_weights()
    with pytest.raises(WeightsError, match=words):
        load_weights(network, read_weights(saved), fresh)
    for value, kept in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_the_same_weights_in_another_file_have_the_same_content(saved: Path, tmp_path: Path) -> None:
    keras.saving.load_model(saved).save(tmp_path / "again.keras")
    first, second = read_weights(saved), read_weights(tmp_path / "again.keras")
    assert first.content_sha256 == second.content_sha256
    second.values["conv1/bias"][0] += 1
    assert read_weights(saved).content_sha256 == first.content_sha256 != replace(second).content_sha256


def test_a_file_that_is_no_weight_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"weights\.safetensors: expected a safetensors file.*Received: "):
        read_weights(path)
