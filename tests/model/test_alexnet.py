"""Golden sizes and counts; placement puts each layer where it says; the layers compute what their papers say."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.layer_table import layer_table
from alexnet_exp.config.schema import ModelConfig
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.alexnet import cut_network
from alexnet_exp.model.layers import Conv2D, LocalResponseNormalization, Preprocess
from tests.conftest import REPO


def network(*overrides: str, classes: int = 2) -> keras.Model:
    return build_alexnet(compose_config(list(overrides)).model, classes)


def assert_described(model: ModelConfig, classes: int) -> None:
    """The table that is made without Keras says what Keras builds."""
    built = build_alexnet(model, classes)
    table = layer_table(model, classes)
    assert sum(row.parameters for row in table) == built.count_params()
    assert {row.name: row.parameters for row in table if row.parameters} == {
        layer.name: layer.count_params() for layer in built.layers if layer.count_params()
    }
    for row in table:
        layer = built.get_layer(row.name)
        assert (row.name, row.output) == (layer.name, tuple(layer.output.shape[1:]))
        if row.multiply_adds:
            assert row.multiply_adds == math.prod(layer.kernel.shape) * math.prod(row.output[:-1])
    names = [layer.name for layer in built.layers]
    assert [names.index(row.name) for row in table] == sorted(names.index(row.name) for row in table)


@pytest.mark.parametrize("name", [path.stem for path in sorted((REPO / "conf" / "model").glob("*.yaml"))])
def test_the_layer_table_agrees_with_keras(name: str) -> None:
    assert_described(compose_config([f"model={name}"]).model, 2)


@pytest.mark.parametrize("kind", ["batch", "lrn", "layer", "group"])
@pytest.mark.parametrize("position", ["before_layer", "before_activation", "after_activation", "after_pool"])
def test_the_layer_table_knows_normalisation(kind: str, position: str) -> None:
    layers = "[conv1,conv5]" if kind == "lrn" else "[conv1,conv3,fc6]"
    norm = [f"model.norm.kind={kind}", f"model.norm.position={position}", f"model.norm.layers={layers}"]
    assert_described(compose_config(norm).model, 3)


NO_DENSE_DROPOUT = ("model.dropout.rates.fc6=0", "model.dropout.rates.fc7=0")
POSITIONS = {
    "before_layer": ["conv1_norm", "conv1_dropout", "conv1", "conv1_activation", "pool1"],
    "before_activation": ["conv1", "conv1_norm", "conv1_dropout", "conv1_activation", "pool1"],
    "after_activation": ["conv1", "conv1_activation", "conv1_norm", "conv1_dropout", "pool1"],
    "after_pool": ["conv1", "conv1_activation", "pool1", "conv1_norm", "conv1_dropout"],
}


@pytest.mark.parametrize(("position", "order"), POSITIONS.items())
@pytest.mark.parametrize("kind", ["batch", "lrn", "layer", "group"])
def test_placement_of_both(kind: str, position: str, order: list[str]) -> None:
    built = network(
        f"model.norm.kind={kind}",
        "model.norm.layers=[conv1]",
        f"model.norm.position={position}",
        f"model.dropout.position={position}",
        *NO_DENSE_DROPOUT,
        "model.dropout.rates.conv1=0.5",
    )
    names = [layer.name for layer in built.layers]
    assert names[2 : 2 + len(order)] == order
    assert names[1] == "preprocess"
    assert sum(name.endswith(("_norm", "_dropout")) for name in names) == 2


def test_dropout_may_come_before_normalisation() -> None:
    built = network("model.norm.position=after_pool", "model.dropout.rates.conv1=0.5")
    names = [layer.name for layer in built.layers]
    assert names[2:7] == ["conv1", "conv1_activation", "conv1_dropout", "pool1", "conv1_norm"]


def test_dense_layers_and_head_take_normalisation_at_their_input_and_output() -> None:
    before = [
        layer.name for layer in network("model.norm.layers=[fc6,head]", "model.norm.position=before_layer").layers
    ]
    assert before[before.index("flatten") :][:3] == ["flatten", "fc6_norm", "fc6"]
    assert before[-3:] == ["head_norm", "head", "probabilities"]
    after = [layer.name for layer in network("model.norm.layers=[fc6,head]").layers]
    assert after[after.index("fc6") :][:3] == ["fc6", "fc6_norm", "fc6_activation"]
    assert after[-3:] == ["head", "head_norm", "probabilities"]


def test_spatial_dropout_is_for_convolutions() -> None:
    built = network("model.dropout.spatial=true", "model.dropout.rates.conv1=0.5")
    assert isinstance(built.get_layer("conv1_dropout"), keras.layers.SpatialDropout2D)
    assert type(built.get_layer("fc6_dropout")) is keras.layers.Dropout


def test_initialisation_of_the_paper() -> None:
    keras.utils.set_random_seed(0)
    built = network("model=alexnet_2012")
    assert np.std(built.get_layer("conv3").kernel) == pytest.approx(0.01, rel=0.02)
    biases = {layer.name: float(np.mean(layer.bias)) for layer in built.layers if layer.count_params()}
    assert biases == {"conv1": 0, "conv2": 1, "conv3": 0, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1, "head": 0}


@pytest.mark.parametrize(
    ("size", "kernel", "groups", "stride", "padding"),
    [
        (9, 3, 2, 1, "same"),
        (2, 3, 1, 1, "same"),
        (2, 3, 2, 1, "same"),
        (4, 5, 1, 1, "same"),
        (1, 3, 1, 1, "same"),
        (3, 4, 1, 1, "same"),
        (4, 5, 1, 2, "same"),
        (5, 5, 2, 1, "valid"),
    ],
)
def test_a_convolution_is_that_of_keras_however_it_is_computed(
    size: int, kernel: int, groups: int, stride: int, padding: str
) -> None:
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, size, size, 6)).astype(np.float32))
    ours, theirs = (
        kind(8, kernel, stride, padding, groups=groups, bias_initializer="ones")
        for kind in (Conv2D, keras.layers.Conv2D)
    )
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    direction = rng.normal(size=ours.compute_output_shape(x.shape)).astype(np.float32)
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            along = keras.ops.sum(output * direction)
        found.append([output, *tape.gradient(along, [x, layer.kernel.value, layer.bias.value])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_local_response_normalisation_by_hand() -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 2, 7)).astype(np.float32)
    expected = np.empty_like(x)
    for channel in range(7):
        neighbours = x[..., max(0, channel - 2) : channel + 3]
        expected[..., channel] = x[..., channel] / (2 + 1e-2 * (neighbours**2).sum(-1)) ** 0.75
    layer = LocalResponseNormalization(size=5, alpha=1e-2, beta=0.75, k=2)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)


def test_preprocess_by_hand() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), dtype=np.uint8)
    layer = Preprocess("bgr", 0.5, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    expected = (images[..., ::-1] * 0.5 - [1, 2, 3]) / [4, 5, 6]
    np.testing.assert_allclose(layer(images), expected, rtol=1e-5, atol=1e-5)


def test_a_saved_network_takes_raw_images_and_gives_the_same_answer(tmp_path) -> None:
    built = network("model=caffenet", "model.input_size=67", "model.dense.fc6=8", "model.dense.fc7=8")
    images = np.random.default_rng(0).integers(0, 256, (2, 67, 67, 3), dtype=np.uint8)
    built.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(built.predict_on_batch(images), loaded.predict_on_batch(images))


def test_dense_crops_are_the_mean_of_shifted_crops() -> None:
    keras.utils.set_random_seed(0)
    words = ("model=alexnet", "model.dense.fc6=4", "model.dense.fc7=4")
    large, small = network(*words, "model.input_size=259"), network(*words)
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        small.get_layer(name).set_weights(large.get_layer(name).get_weights())
    image = np.random.default_rng(0).integers(0, 256, (1, 259, 259, 3), dtype=np.uint8)
    dense = cut_network(large, "conv1", crops=5).predict_on_batch(image)
    crops = [image[:, y : y + 227, x : x + 227] for y in range(0, 20, 4) for x in range(0, 20, 4)]
    mean = np.mean([cut_network(small, "conv1").predict_on_batch(crop) for crop in crops], axis=0)
    corner = dense.reshape(59, 59, 96)[:55, :55].ravel()
    np.testing.assert_allclose(corner, mean[0], rtol=1e-4, atol=1e-5)
    assert cut_network(large, "pool5", crops=2).output_shape == (None, 9216)


@pytest.mark.parametrize(("cut", "features"), [("conv1", 24 * 32 * 32), ("pool5", 432), ("fc7", 128)])
def test_cut_networks_end_in_flat_features(cut: str, features: int) -> None:
    assert cut_network(network(), cut).output_shape == (None, features)
