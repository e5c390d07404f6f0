"""What the first layer looks for."""

import numpy as np
from matplotlib.figure import Figure

from alexnet_exp.evaluation.figures.style import WIDTH, styled


@styled
def conv1_kernels(kernels: np.ndarray) -> Figure:
    """The kernels of the first layer, `[height, width, 3, filters]`, each on its own scale (the paper's figure 3)."""
    height, width, _, filters = kernels.shape
    columns = min(16, filters)
    rows = -(-filters // columns)
    sheet = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3))
    for number, kernel in enumerate(np.moveaxis(kernels, -1, 0)):
        spread = np.abs(kernel - kernel.mean()).max() or 1.0
        row, column = number // columns * (height + 1), number % columns * (width + 1)
        sheet[row : row + height, column : column + width] = 0.5 + (kernel - kernel.mean()) / (2 * spread)
    figure = Figure(figsize=(max(WIDTH * columns / 16, 3), WIDTH / 16 * rows + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.axis("off")
    axes.set_title(f"conv1: {filters} kernels of {height}\u00d7{width}")
    return figure
