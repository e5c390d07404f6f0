"""Any image that Pillow reads, as square RGB pixels."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from alexnet_exp.errors import one_line

Resize = Literal["squash", "crop"]


class BadImage(ValueError):
    """The bytes are not an image that can be decoded."""


@contextmanager
def pixel_limit(megapixels: float) -> Iterator[None]:
    """Makes `decode` refuse larger images, and larger frames in them, by their headers, before they are decoded.

    Pillow's own limit, and the filter that makes its warning an error, belong to the process: not for several threads.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = int(megapixels * 1e6)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # what is odd in a file that can be decoded all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


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
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            image.draft("RGB", (size, size))
            return to_square(_to_rgb(ImageOps.exif_transpose(image)), size, resize)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage("more pixels than dataset.limits.megapixels") from None
    except Exception as error:  # Pillow's plugins raise many kinds for bytes that make no sense
        raise BadImage("unknown format" if isinstance(error, UnidentifiedImageError) else one_line(error)) from None


def to_square(image: Image.Image, size: int, resize: Resize) -> np.ndarray:
    """Resizes to uint8 pixels `[size, size, 3]`."""
    shape, filtering = (size, size), Image.Resampling.BILINEAR
    square = image.resize(shape, filtering) if resize == "squash" else ImageOps.fit(image, shape, filtering)
    return np.asarray(square, dtype=np.uint8)


@cache
def extensions() -> frozenset[str]:
    """The extensions of the formats that can be decoded, in lower case, with the dot."""
    return frozenset(extension for extension, kind in Image.registered_extensions().items() if kind in _formats())


@cache
def _formats() -> list[str]:
    Image.init()
    return [kind for kind in Image.ID if kind != "EPS"]  # PostScript is a program, which Ghostscript would execute


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
