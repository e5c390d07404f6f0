"""A network as a row of blocks with its sizes, after the figure of Krizhevsky et al. 2012."""

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from alexnet_exp.config.layer_table import Layer

COLORS = {"input": "#C9CDD2", "conv": "#5B9BD5", "pool": "#F2B04A", "dense": "#6DB58B"}
INK, FAINT = "#222222", "#777777"
TALLEST, WIDEST, LONGEST_DENSE, DENSE_WIDTH = 5.0, 1.5, 6.4, 0.34  # drawing units: the largest image, channels, units
SLANT = (0.30, 0.24)  # how far the depth of an edge of length one goes to the right and up
COLUMN, GAP = 1.55, 0.62  # least width of a column with its label, and space between columns
INCHES = 0.66  # a drawing unit
LINE = 0.30  # of text
Point = tuple[float, float]


@dataclass(frozen=True)
class Block:
    """A cuboid, or a bar without depth: the lower left corner of its front, and its edges in drawing units."""

    x: float
    y: float
    width: float
    height: float
    depth: float

    def at(self, across: float, up: float) -> Point:
        """A point on the right face, which shows the image plane; both coordinates from 0 to 1."""
        right = self.x + self.width
        return right + across * self.depth * SLANT[0], self.y + up * self.height + across * self.depth * SLANT[1]


def draw_network(title: str, layers: list[Layer]) -> Figure:
    """Draws feature maps as cuboids and dense layers as bars, with the windows between them.

    Edges grow with the square root of pixels, channels and units. Convolutions in two groups, and what feeds them, are
    two towers.

    Args:
      title: written above.
      layers: the table of the network; normalisation is named with its layer.
    """
    drawn = [layer for layer in layers if layer.kind in COLORS]
    towers = _towers(drawn)
    shapes = [_edges(layer, drawn, count) for layer, count in zip(drawn, towers, strict=True)]
    apart = 0.5 + max(
        (shape[1] + shape[2] * SLANT[1] for shape, n in zip(shapes, towers, strict=True) if n == 2), default=0
    )
    columns: list[list[Block]] = []
    x = 0.0
    for (width, height, depth), count in zip(shapes, towers, strict=True):
        whole = width + depth * SLANT[0]
        left = x + max(0.0, COLUMN - whole) / 2
        lanes = [apart / 2, -apart / 2] if count == 2 else [0.0]
        columns.append([Block(left, y - (height + depth * SLANT[1]) / 2, width, height, depth) for y in lanes])
        x += max(COLUMN, whole) + GAP
    bottom = min(block.y for blocks in columns for block in blocks)
    top = max(block.at(1, 1)[1] for blocks in columns for block in blocks)

    low, high = bottom - 6.0 * LINE, top + 1.7
    figure = Figure(figsize=(x * INCHES, (high - low) * INCHES))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-GAP / 2, x - GAP / 2), ylim=(low, high), aspect="equal")
    axes.axis("off")
    axes.text(0, high - 0.4, title, fontsize=13, fontweight="bold", color=INK, va="top")
    axes.text(0, high - 1.0, _note(towers), fontsize=9, color=FAINT, va="top")
    norms = {layer.name.removesuffix("_norm") for layer in layers if layer.kind == "norm"}
    for number, (layer, blocks) in enumerate(zip(drawn, columns, strict=True)):
        for block in blocks:
            _cuboid(axes, block, COLORS[layer.kind])
        if number:
            _connect(axes, layer, drawn[number - 1], columns[number - 1], blocks)
        _label(axes, layer, blocks[0], bottom, layer.name in norms)
    return figure


def _towers(layers: list[Layer]) -> list[int]:
    """1 or 2 for each layer: what a convolution in two groups makes or reads is two towers."""
    towers: list[int] = []
    for number, layer in enumerate(layers):
        if layer.kind == "conv":
            reader = next((other for other in layers[number + 1 :] if other.kind == "conv"), None)
            towers.append(2 if 2 in (layer.groups, reader and reader.groups) else 1)
        else:
            towers.append(towers[-1] if layer.kind == "pool" else 1)
    return towers


def _edges(layer: Layer, layers: list[Layer], towers: int) -> tuple[float, float, float]:
    """Width, height and depth of the block of one tower."""
    if layer.kind == "dense":
        most = max(other.output[0] for other in layers if other.kind == "dense")
        return DENSE_WIDTH, LONGEST_DENSE * math.sqrt(layer.output[0] / most), 0.0
    maps = [other.output for other in layers if other.kind != "dense"]
    side = TALLEST * math.sqrt(layer.output[0] / max(shape[0] for shape in maps))
    channels = layer.output[-1] / towers
    return WIDEST * math.sqrt(channels / max(shape[-1] for shape in maps)), side, side


def _cuboid(axes: Axes, block: Block, color: str) -> None:
    left, right = block.x, block.x + block.width
    low, high = block.y, block.y + block.height
    dx, dy = block.depth * SLANT[0], block.depth * SLANT[1]
    faces: list[tuple[list[Point], float]] = [([(left, low), (right, low), (right, high), (left, high)], 0.0)]
    if block.depth:
        faces.append(([(left, high), (right, high), (right + dx, high + dy), (left + dx, high + dy)], 0.45))
        faces.append(([block.at(0, 0), block.at(1, 0), block.at(1, 1), block.at(0, 1)], -0.18))
    for corners, light in faces:  # towards white or black
        shade = [part + abs(light) * ((light > 0) - part) for part in to_rgb(color)]
        axes.add_patch(Polygon(corners, facecolor=shade, edgecolor=INK, linewidth=0.7, joinstyle="round", zorder=2))


def _connect(axes: Axes, layer: Layer, source: Layer, before: list[Block], after: list[Block]) -> None:
    """Lines from a window in the feature map to the layer that reads it; within the towers where it reads one alone."""
    within = len(before) == len(after) == 2 and (layer.kind == "pool" or layer.groups == 2)
    for number, origin in enumerate(before):
        corners = [origin.at(0, 0), origin.at(1, 1)]
        if layer.kernel is not None:
            part = min(1.0, layer.kernel / source.output[0])
            low, high = 0.5 - part / 2, 0.5 + part / 2
            corners = [origin.at(low, low), origin.at(high, low), origin.at(high, high), origin.at(low, high)]
            axes.add_patch(Polygon(corners, facecolor=COLORS[layer.kind], edgecolor=INK, linewidth=0.7, zorder=3))
        for target in [after[number]] if within else after:
            if layer.kernel is None:
                ends = [(target.x, target.y), (target.x, target.y + target.height)]
            else:
                ends = [(target.x, target.y + target.height / 2)] * len(corners)
            for start, end in zip(corners, ends, strict=True):
                axes.plot(*zip(start, end, strict=True), color=FAINT, linewidth=0.6, zorder=3)


def _label(axes: Axes, layer: Layer, block: Block, bottom: float, normalised: bool) -> None:
    lines = ["x".join(map(str, layer.output)).replace("x", "\u00d7")]
    if layer.kernel is not None:
        lines.append(f"{layer.kernel}\u00d7{layer.kernel}" + (f", stride {layer.stride}" if layer.stride != 1 else ""))
    if layer.groups > 1:
        lines.append(f"{layer.groups} groups")
    if normalised:
        lines.append("normalised")
    middle = block.x + (block.width + block.depth * SLANT[0]) / 2
    axes.text(middle, bottom - 0.9 * LINE, layer.name, ha="center", va="top", fontsize=10, fontweight="bold", color=INK)
    for number, line in enumerate(lines):
        y = bottom - (2.1 + number) * LINE
        axes.text(middle, y, line, ha="center", va="top", fontsize=8.5, color=INK if number == 0 else FAINT)


def _note(towers: list[int]) -> str:
    note = "Edges grow with the square root of pixels, channels and units."
    return note + (" Two rows are the two groups." if 2 in towers else "")
