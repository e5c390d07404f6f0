"""The drawing shows every layer with its sizes, and groups as towers."""

from matplotlib.colors import same_color

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.layer_table import layer_table
from alexnet_exp.evaluation.drawing import COLORS, draw_network


def test_a_drawing_has_every_layer_and_two_towers() -> None:
    layers = layer_table(compose_config(["model=alexnet_2012"]).model, 10)
    figure = draw_network("the title", layers)
    axes = figure.axes[0]
    words = {text.get_text() for text in axes.texts}
    assert {"the title", "conv2", "27\u00d727\u00d7256", "2 groups", "11\u00d711, stride 4", "pool5", "head"} <= words
    depth = {kind: sum(same_color(patch.get_facecolor(), COLORS[kind]) for patch in axes.patches) for kind in COLORS}
    windows = {"conv": 1 + 2 * 4, "pool": 2 * 3}  # one on the image, one on each tower before another layer
    assert depth == {"input": 1, "conv": 10 + windows["conv"], "pool": 6 + windows["pool"], "dense": 3}
    single = draw_network("", layer_table(compose_config(["model=alexnet"]).model, 10)).axes[0]
    assert sum(same_color(patch.get_facecolor(), COLORS["pool"]) for patch in single.patches) == 3 + 3
