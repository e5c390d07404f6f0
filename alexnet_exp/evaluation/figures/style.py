"""How all figures look: sizes, fonts and colours, and how they become PNG."""

import io
import warnings
from collections.abc import Iterable
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

WIDTH, DPI = 8.0, 110  # inches and dots per inch: the 880 pixels that the MLflow UI has for a figure
INK, GREY, FAINT = "#1c2330", "#8a8f98", "#c9cdd2"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")  # Okabe and Ito
STRATEGIES = dict(zip(("scratch", "finetune", "features_svm", "features_mlp"), PALETTE, strict=False))
RIGHT, WRONG = "#0072B2", "#C00000"  # of a prediction
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Hiragino Sans", "Microsoft YaHei")
STYLE: dict[Any, Any] = {
    "font.family": [name for name in FONTS if name in fontManager.get_font_names()],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a class may be named a$b$
    "axes.titlesize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.7,
    "lines.markersize": 4,
    "image.cmap": "Blues",
}
styled = matplotlib.rc_context(STYLE)  # decorates the functions that draw


def colors_of(arms: list[str]) -> dict[str, str]:
    """A colour for each arm, as long as there are some: a strategy has its own, the others take what is left."""
    left = iter(color for color in PALETTE if color not in {STRATEGIES.get(arm) for arm in arms})
    return {arm: color for arm in arms if (color := STRATEGIES.get(arm) or next(left, None))}


def shortened(text: str, most: int) -> str:
    """A text in one line of at most so many characters; what distinguishes names is at their ends more often."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    tail = (most - 1) // 3
    return f"{line[: most - 1 - tail].rstrip()}…{line[len(line) - tail :].lstrip()}"


def stacked(images: Iterable[bytes]) -> bytes:
    """PNG images one below the other, as PNG."""
    parts = [Image.open(io.BytesIO(image)).convert("RGB") for image in images]
    whole = Image.new(
        "RGB", (max((part.width for part in parts), default=1), sum(part.height for part in parts) or 1), "white"
    )
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    whole.save(buffer, "png")
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as a file; characters that no font has are drawn as boxes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
