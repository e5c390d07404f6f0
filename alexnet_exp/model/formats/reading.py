"""What every reader of a foreign format returns, and the layouts that they share."""

from dataclasses import dataclass

import numpy as np

from alexnet_exp.config.schema import Lrn, Preprocess
from alexnet_exp.model.weight_files import Order

# Caffe's own mean of ILSVRC 2012 in its order, blue first, averaged over the pixels.
CAFFE_PREPROCESS = Preprocess(
    channels="bgr", scale=1.0, mean=[104.0069879317889, 116.66876761696767, 122.6789143406786], std=[1.0, 1.0, 1.0]
)
CAFFE_LRN = Lrn(size=5, alpha=2e-5, beta=0.75, k=1.0)  # its alpha of 1e-4 divided by the size
LIMIT = 2**30  # bytes of all arrays of a file, four times AlexNet: an archive may unpack to anything
POOL5 = (256, 6, 6)  # channels, height, width of what fc6 sees, in all of these networks


@dataclass(frozen=True)
class Part:
    """One array of a foreign file.

    Attributes:
      target: `layer/variable` of this project.
      source: its name in the file.
      value: in this project's layout: HWIO, or `[inputs, outputs]`, `fc6` in the order height, width, channels.
    """

    target: str
    source: str
    value: np.ndarray


@dataclass(frozen=True)
class Reading:
    """A foreign file: the network that it says it is, its arrays, and layer -> why it was left out."""

    network: str
    parts: list[Part]
    left_out: dict[str, str]
    preprocess: Preprocess
    lrn: Lrn | None
    order: Order
    source: str
    licence: str = "not stated in the file"


def check_size(size: int) -> None:
    """Raises ValueError where the arrays of a file would take more than `LIMIT` bytes."""
    if size > LIMIT:
        raise ValueError(f"{size} bytes when unpacked, more than {LIMIT}")


def from_oihw(kernel: np.ndarray) -> np.ndarray:
    """A kernel `[O, I, H, W]` as `[H, W, I, O]`. One of another rank is left for the check of shapes to refuse."""
    return kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel


def from_outputs_first(kernel: np.ndarray) -> np.ndarray:
    """A dense kernel `[outputs, inputs]` as `[inputs, outputs]`."""
    return kernel.T


def from_chw(kernel: np.ndarray) -> np.ndarray:
    """fc6 `[C * H * W, outputs]` as `[H * W * C, outputs]`: Keras flattens channels last."""
    inputs = int(np.prod(POOL5))
    if kernel.ndim != 2 or kernel.shape[0] != inputs:
        return kernel
    return kernel.reshape(*POOL5, -1).transpose(1, 2, 0, 3).reshape(inputs, -1)
