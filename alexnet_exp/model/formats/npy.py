"""`bvlc_alexnet.npy` of M. Guerzhoy: a pickled dict of layer -> [kernel, bias], written by Python 2."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from alexnet_exp.errors import WeightsError
from alexnet_exp.model.formats.pickles import PickledArray, load_arrays
from alexnet_exp.model.formats.reading import CAFFE_LRN, CAFFE_PREPROCESS, Part, Reading, check_size

LAYERS = {**{f"conv{n}": f"conv{n}" for n in range(1, 6)}, "fc6": "fc6", "fc7": "fc7", "fc8": "head"}


def read_npy(path: Path) -> Reading:
    """Reads the dict without executing anything of its pickle.

    Convolution kernels are HWIO. `fc6` is taken as it is: caffe-tensorflow, which made the file, has already turned its
    inputs from Caffe's order channels, height, width to TensorFlow's height, width, channels. The network is Caffe's
    bvlc_alexnet, so its preprocessing is Caffe's (Guerzhoy's demonstration subtracts each image's own mean instead).

    Raises:
      WeightsError: when the file is damaged, calls anything, or is not such a dict.
    """
    layers = _dict(path)
    parts = []
    for name, pair in layers.items():
        if name not in LAYERS:
            raise WeightsError(f"{path}: expected the layers {', '.join(LAYERS)}. Received: {name}")
        arrays = (
            [item.array for item in pair if isinstance(item, PickledArray)] if isinstance(pair, list | tuple) else []
        )
        if len(arrays) != 2 or len(pair) != 2 or not all(isinstance(array, np.ndarray) for array in arrays):
            raise WeightsError(f"{path}: {name}: expected [kernel, bias]. Received: {_describe(pair)}")
        for variable, position, array in zip(("kernel", "bias"), (0, 1), arrays, strict=True):
            parts.append(Part(f"{LAYERS[name]}/{variable}", f"{name}[{position}]", np.asarray(array)))
    check_size(sum(part.value.nbytes for part in parts))
    source = "bvlc_alexnet.npy, M. Guerzhoy, University of Toronto, from BVLC's bvlc_alexnet.caffemodel"
    return Reading("alexnet_2012", parts, {}, CAFFE_PREPROCESS, CAFFE_LRN, "lrn_pool", source)


def _dict(path: Path) -> dict[str, Any]:
    """The dict in the array of one object that NumPy wraps it in."""
    with path.open("rb") as file:
        try:
            version = npy_format.read_magic(file)
            read_header = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError, EOFError) as error:
            raise WeightsError(f"{path}: expected a .npy file. Received: a damaged header ({error})") from None
        content = load_arrays(file.read(), str(path)) if dtype.hasobject else None
    match content:
        case PickledArray(array=[dict() as layers]):
            return layers
    raise WeightsError(f"{path}: expected a dict of layer -> [kernel, bias]. Received: {dtype} of shape {shape}")


def _describe(pair: Any) -> str:
    return f"{len(pair)} items" if isinstance(pair, list | tuple) else type(pair).__name__
