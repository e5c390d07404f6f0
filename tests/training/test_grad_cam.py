"""Grad-CAM points at what a network that is known looks at."""

from pathlib import Path

import keras
import numpy as np
import pytest

from alexnet_exp.data import load_splits
from alexnet_exp.model.alexnet import build_alexnet, cut_network
from alexnet_exp.strategy import STRATEGIES
from alexnet_exp.training.grad_cam import grad_cam
from tests.conftest import Compose


def looks_at_corners() -> keras.Model:
    """Class 0 is bright pixels in the upper left quarter, class 1 in the lower right one."""
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(2, 4, strides=4, use_bias=False, name="conv5")(x)
    x = keras.layers.Activation("relu", name="conv5_activation")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(2, use_bias=False, name="head")(x)
    network = keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(x))
    network.get_layer("conv5").set_weights([np.ones((4, 4, 3, 2), np.float32)])
    head = np.zeros((2, 2, 2, 2), np.float32)  # row, column, filter, class
    head[0, 0, 0, 0] = head[1, 1, 1, 1] = 1
    network.get_layer("head").set_weights([head.reshape(8, 2)])
    return network


def test_by_hand() -> None:
    images = np.zeros((3, 8, 8, 3), np.uint8)
    images[:2, :4, :4] = 200
    images[:2, 4:, 4:] = 100
    maps = grad_cam(looks_at_corners(), None, images, np.array([0, 1, 0]))
    np.testing.assert_allclose(maps[0], [[1, 0], [0, 0.5]], atol=1e-6)  # one weight a map: both corners count
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-6)
    assert not maps[2].any()  # black: nothing speaks for anything


def test_features_that_are_zero_do_not_blank_the_maps(tiny: Compose, tmp_path: Path) -> None:
    config = tiny("strategy=features_mlp", "strategy.scaling=sqrt_l2", "strategy.epochs=1")
    splits = load_splits(config.dataset, config.model.input_size, tmp_path)
    fitted = STRATEGIES["features_mlp"](config, splits, None, lambda *_: None)
    images = splits.test.take(np.arange(8))
    assert (fitted.network.predict(images, verbose=0) == 0).any()
    maps = np.stack([grad_cam(fitted.network, fitted.classifier, images, np.full(8, asked)) for asked in range(10)])
    assert maps.any(axis=(2, 3)).mean() > 0.5


@pytest.mark.parametrize("cut", [None, "conv3", "pool5", "fc7"])
def test_maps_have_the_size_of_the_last_convolution_and_frozen_layers_have_maps(tiny: Compose, cut: str | None) -> None:
    config = tiny()
    network, classifier = build_alexnet(config.model, 10), None
    network.trainable = False
    if cut:
        network = cut_network(network, cut)
        features = keras.Input((network.output_shape[-1],))
        logits = keras.layers.Dense(10)(features)
        classifier = keras.Model(features, keras.layers.Activation("softmax", name="probabilities")(logits))
    last = "conv3" if cut == "conv3" else "conv5"
    images = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    maps = grad_cam(network, classifier, images, np.arange(4))
    assert maps.shape == (4, *network.get_layer(f"{last}_activation").output.shape[1:3])
    assert maps.min() >= 0
    assert set(maps.max(axis=(1, 2)).round(5)) <= {0, 1}
    assert maps.any()
