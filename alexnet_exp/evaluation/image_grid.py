"""Images side by side, each with a caption."""

import numpy as np
from matplotlib.figure import Figure

COLUMNS = 8


def image_grid(images: list[np.ndarray], captions: list[str]) -> Figure:
    """Draws images `[H, W, 3]` in rows of eight at the most."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), layout="constrained")
    for axes, image, caption in zip(figure.subplots(rows, columns, squeeze=False).flat, images, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption, fontsize=8, parse_math=False)
    for axes in figure.axes:
        axes.axis("off")
    return figure
