"""The published figures of the networks, from their configuration alone."""

import pytest

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.layer_table import Layer, layer_table


def table(*overrides: str, classes: int) -> dict[str, Layer]:
    return {layer.name: layer for layer in layer_table(compose_config(list(overrides)).model, classes)}


def parameters(layers: dict[str, Layer]) -> int:
    return sum(layer.parameters for layer in layers.values())


@pytest.mark.parametrize(
    ("model", "classes", "count"),
    [
        ("alexnet_fc8", 2, 62_380_346),
        ("alexnet", 2, 58_289_538),
        ("alexnet", 1000, 62_378_344),
        ("alexnet_2012", 2, 56_876_418),
        ("alexnet_2012", 1000, 60_965_224),
        ("alexnet_torchvision", 1000, 61_100_840),
        ("caffenet", 2, 56_876_418),
        ("alexnet_cifar", 2, 25_722_466),
        ("alexnet_small", 2, 196_194),
    ],
)
def test_parameter_counts(model: str, classes: int, count: int) -> None:
    assert parameters(table(f"model={model}", classes=classes)) == count


def test_the_network_with_three_hidden_dense_layers() -> None:
    layers = table("model=alexnet_fc8", classes=2)
    assert {name: layer.parameters for name, layer in layers.items() if layer.parameters} == {
        "conv1": 34_944,
        "conv2": 614_656,
        "conv3": 885_120,
        "conv4": 1_327_488,
        "conv5": 884_992,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
        "head": 2_002,
    }
    sizes = [layer.output[0] for layer in layers.values()]
    assert sizes == [227, 55, 27, 27, 13, 13, 13, 13, 6, 9216, 4096, 4096, 1000, 2]
    assert [layer.output[-1] for layer in layers.values()][:9] == [3, 96, 96, 256, 256, 384, 384, 256, 256]


def test_the_figures_of_the_2012_network() -> None:
    layers = table("model=alexnet_2012", classes=1000)
    assert round(parameters(layers), -7) == 60_000_000
    assert sum(layer.neurons for layer in layers.values()) == pytest.approx(650_000, rel=0.02)
    assert sum(layer.multiply_adds for layer in layers.values()) == 724_406_816
    assert layers["conv1"].activation_bytes == 55 * 55 * 96 * 4
    assert layers["flatten"].activation_bytes == 0
    torchvision = table("model=alexnet_torchvision", classes=1000).values()
    assert sum(layer.multiply_adds for layer in torchvision) == pytest.approx(
        714e6, rel=0.001
    )  # as in its documentation
