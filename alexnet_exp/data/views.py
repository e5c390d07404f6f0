"""The views of an image that are averaged at test time or in feature space."""

from typing import Literal

import numpy as np

Views = Literal["center", "mirror", "ten_crop"]


def view_names(views: Views) -> list[str]:
    """The views in order: the centre; with its mirror image; or centre and four corners with their mirror images."""
    if views == "center":
        return ["center"]
    if views == "mirror":
        return ["center", "center mirrored"]
    crops = ["center", "top left", "top right", "bottom left", "bottom right"]
    return [name + side for side in ("", " mirrored") for name in crops]


def view(images: np.ndarray, name: str, size: int) -> np.ndarray:
    """Cuts one view `[B, size, size, 3]` out of images `[B, H, H, 3]` with `H >= size`."""
    margin = images.shape[1] - size
    offset = {"top": 0, "left": 0, "bottom": margin, "right": margin, "center": margin // 2}
    words = name.removesuffix(" mirrored").split()
    top, left = offset[words[0]], offset[words[-1]]
    crop = images[:, top : top + size, left : left + size]
    return crop[:, :, ::-1] if name.endswith("mirrored") else crop
