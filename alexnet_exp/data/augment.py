"""Random transformations of batches of images, decided by one row of uniform numbers for each image.

The numbers come from (seed, epoch, example), so the pixels do not depend on batching, workers or resumption. Keras' own
random layers draw from one seed for a whole batch and resample once for each layer; here all geometric transformations
are one `keras.ops.image.affine_transform`.
"""

import math
from typing import Any

import numpy as np
from keras import ops

from alexnet_exp.config.schema import AugmentationConfig

DRAWS = 12  # uniform numbers for each image and epoch: flip, rotation, shear, zoom x 2, shift x 2, crop x 2 and ...
CROP = (7, 8)
COLOR = slice(9, 12)  # ... colour x 3


def augment(
    images: Any, draws: Any, config: AugmentationConfig, size: int, color_components: np.ndarray | None = None
) -> Any:
    """Transforms a batch of training images.

    Args:
      images: uint8 `[B, H, H, 3]`, or where nothing is resampled already cropped at `crop_corners`, which is faster.
      draws: float32 `[B, 12]`, uniform in [0, 1).
      config: which transformations, and how large.
      size: height and width of the result, in pixels; the crop is at random where `H` is larger.
      color_components: `[3, 3]`, see `principal_color_components`; needed for `config.pca_color`.

    Returns:
      uint8 `[B, size, size, 3]`.
    """
    load_size = images.shape[1]
    if config.resamples or load_size > size:
        pixels = ops.image.affine_transform(
            ops.cast(images, "float32"),
            _affine_rows(draws, config, load_size, size),
            interpolation="bilinear",
            fill_mode="nearest",
            data_format="channels_last",
        )[:, :size, :size]
    else:
        pixels = images
        if config.flip:
            pixels = ops.where(is_mirrored(draws)[:, None, None, None], ops.flip(images, axis=2), images)
        if not config.pca_color:
            return pixels
        pixels = ops.cast(pixels, "float32")
    if config.pca_color:
        uniform = ops.clip(draws[:, COLOR], 1e-6, 1 - 1e-6)  # erfinv is infinite at the ends
        normal = math.sqrt(2) * ops.erfinv(2 * uniform - 1)
        pixels += ops.matmul(config.pca_color * normal, color_components)[:, None, None, :]
    return ops.cast(ops.clip(ops.round(pixels), 0, 255), "uint8")


def principal_color_components(images: np.ndarray) -> np.ndarray:
    """Principal components of the colours of uint8 images `[N, H, W, 3]`, scaled by their standard deviation.

    Returns:
      float32 `[3, 3]`, one component in each row, on the 0..255 scale (Krizhevsky et al. 2012, section 4.1).
    """
    covariance = np.cov(images.reshape(-1, 3).astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)


def crop_corners(draws: Any, margin: int) -> tuple[Any, Any]:
    """Top and left of each image's random crop, `[B]` in pixels, `margin` is what the image is larger by."""
    top, left = (ops.cast(ops.floor(draws[:, column] * (margin + 1)), "int32") for column in CROP)
    return top, left


def is_mirrored(draws: Any) -> Any:
    """Which images `augment` mirrors, where the configuration has it mirror, `[B]`."""
    return draws[:, 0] < 0.5


def _affine_rows(draws: Any, config: AugmentationConfig, load_size: int, size: int) -> Any:
    """The transformation from result to source coordinates, `[B, 8]`: a b c d e f 0 0, about the image's centre."""
    signed = 2 * draws - 1
    mirror = ops.where(is_mirrored(draws), -1.0, 1.0) if config.flip else ops.ones_like(draws[:, 0])
    angle = math.radians(config.rotation) * signed[:, 1]
    shear = config.shear * signed[:, 2]
    zoom_x, zoom_y = 1 + config.zoom * signed[:, 3], 1 + config.zoom * signed[:, 4]
    shift_x, shift_y = config.shift * size * signed[:, 5], config.shift * size * signed[:, 6]
    cos, sin = ops.cos(angle), ops.sin(angle)
    a, b = cos * zoom_x * mirror, -ops.sin(angle + shear) * zoom_y
    d, e = sin * zoom_x * mirror, ops.cos(angle + shear) * zoom_y
    top, left = (ops.cast(corner, "float32") for corner in crop_corners(draws, load_size - size))
    center = (size - 1) / 2
    c = left + center + shift_x - (a + b) * center
    f = top + center + shift_y - (d + e) * center
    zero = ops.zeros_like(c)
    return ops.stack([a, b, c, d, e, f, zero, zero], axis=1)
