"""Any image that Pillow reads, as square RGB pixels."""

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Resize = Literal["squash", "crop"]


class BadImage(ValueError):
    """The bytes are not an image that can be decoded."""


def decode(content: bytes, size: int, resize: Resize) -> np.ndarray:
    """Decodes one image file.

    Grey, palette, CMYK and 16-bit images become RGB, transparency is laid on white, and the EXIF rotation is applied.

    Args:
      content: the file's bytes.
      size: height and width of the result, in pixels.
      resize: `squash` to the square, or `crop` the centre square.

    Returns:
      uint8 pixels `[size, size, 3]`.

    Raises:
      BadImage: when Pillow cannot read the file.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (size, size))
            return to_square(_to_rgb(ImageOps.exif_transpose(image)), size, resize)
    except Exception as error:  # Pillow's plugins raise many kinds for bytes that make no sense
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BadImage(reason or type(error).__name__) from None


def to_square(image: Image.Image, size: int, resize: Resize) -> np.ndarray:
    """Resizes to uint8 pixels `[size, size, 3]`."""
    shape, filtering = (size, size), Image.Resampling.BILINEAR
    square = image.resize(shape, filtering) if resize == "squash" else ImageOps.fit(image, shape, filtering)
    return np.asarray(square, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits
        return _from_grey(np.asarray(image, np.float64) / 257)
    if image.mode == "F":
        grey = np.asarray(image, np.float64)
        return _from_grey(grey * 255 if grey.max(initial=0) <= 1 else grey)
    if image.has_transparency_data:
        solid = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(solid, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_grey(grey: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8)).convert("RGB")
