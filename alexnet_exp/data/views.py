"""The views of an image: what is averaged at test time or in feature space, and what training sees in an epoch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from alexnet_exp.config.schema import AugmentationConfig

Views = Literal["center", "mirror", "ten_crop"]


@dataclass(frozen=True)
class Draws:
    """What an augmentation makes of the images in the epoch of this number."""

    augmentation: AugmentationConfig
    seed: int
    number: int


View = str | Draws


def view_names(views: Views) -> list[str]:
    """The views in order: the centre; with its mirror image; or centre and four corners with their mirror images."""
    if views == "center":
        return ["center"]
    if views == "mirror":
        return ["center", "center mirrored"]
    crops = ["center", "top left", "top right", "bottom left", "bottom right"]
    return [name + side for side in ("", " mirrored") for name in crops]


def training_views(augmentation: AugmentationConfig, size: int, seed: int, epochs: range) -> list[View] | None:
    """All views that training sees in some epochs; None where every epoch draws anew."""
    moves = augmentation.resamples or augmentation.pca_color or augmentation.load_size not in (None, size)
    if not moves:
        return ["center", "center mirrored"] if augmentation.flip else ["center"]
    if augmentation.views is None:
        return None
    return [Draws(augmentation, seed, number) for number in sorted({epoch % augmentation.views for epoch in epochs})]


def cut_view(images: np.ndarray, name: str, size: int) -> np.ndarray:
    """Cuts one view `[B, size, size, 3]` out of images `[B, H, H, 3]` with `H >= size`."""
    margin = images.shape[1] - size
    offset = {"top": 0, "left": 0, "bottom": margin, "right": margin, "center": margin // 2}
    words = name.removesuffix(" mirrored").split()
    top, left = offset[words[0]], offset[words[-1]]
    crop = images[:, top : top + size, left : left + size]
    return crop[:, :, ::-1] if name.endswith("mirrored") else crop
