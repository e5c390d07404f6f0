"""torchvision's `alexnet` as a state dict, `.pth`: the zip of PyTorch 1.6, and the plain pickles before it."""

import io
import math
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_exp.config.schema import Preprocess
from alexnet_exp.errors import WeightsError, one_line
from alexnet_exp.model.formats.pickles import Sealed, load_pickle
from alexnet_exp.model.formats.reading import Part, Reading, check_size, from_chw, from_oihw, from_outputs_first

LAYERS = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "head",
}
IMAGENET = Preprocess(channels="rgb", scale=1 / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """A tensor's memory: the number of its float32 values, and its bytes once they are read."""

    __slots__ = ("content", "count")

    def __init__(self, count: int, content: bytes = b"") -> None:
        self.count, self.content = count, content


class Tensor(metaclass=Sealed):
    """Stands in for `torch._utils._rebuild_tensor_v2`: where in its storage a tensor lies."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(
        self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        """The values, float32; a ValueError when they do not lie in the storage."""
        flat = np.frombuffer(self.storage.content, "<f4")
        shape, strides = tuple(map(int, self.shape)), tuple(map(int, self.strides))
        offset = int(self.offset)
        last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        if min((*shape, *strides, offset)) < 0 or last >= len(flat) or math.prod(shape) > len(flat):
            raise ValueError(f"shape {shape} outside of {len(flat)} values")
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, tuple(4 * step for step in strides))


class Parameter(metaclass=Sealed):
    """Stands in for `torch._utils._rebuild_parameter`, a tensor that trains: gives the tensor back."""

    def __new__(cls, tensor: Tensor, *_: Any) -> Tensor:  # type: ignore[misc]
        return tensor


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch._utils", "_rebuild_parameter"): Parameter,
    ("torch", "FloatStorage"): "float32",
}


def read_pth(path: Path) -> Reading:
    """Reads the state dict without PyTorch and without executing anything of its pickle.

    Raises:
      WeightsError: when the file is damaged, calls anything, or is not the state dict of `alexnet`.
    """
    state = _zip(path) if zipfile.is_zipfile(path) else _legacy(path)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in dict.values(state)):
        raise WeightsError(f"{path}: expected a state dict of float32 tensors. Received: {type(state).__name__}")
    parts = []
    for name, tensor in dict.items(state):  # not state.items, which the pickle can replace
        layer, variable = LAYERS.get(str(name).rpartition(".")[0]), str(name).rpartition(".")[2]
        if layer is None or variable not in ("weight", "bias"):
            raise WeightsError(f"{path}: expected .weight and .bias of {', '.join(LAYERS)}. Received: {name}")
        try:
            value = tensor.array()
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise WeightsError(f"{path}: {name}: expected a tensor in its storage. Received: {error}") from None
        parts.append(_part(layer, variable, str(name), value))
    return Reading("alexnet_torchvision", parts, {}, IMAGENET, None, "none", "torchvision alexnet", "BSD-3-Clause")


def _part(layer: str, variable: str, name: str, value: np.ndarray) -> Part:
    if variable == "bias":
        return Part(f"{layer}/bias", name, value)
    kernel = from_oihw(value) if layer.startswith("conv") else from_outputs_first(value)
    return Part(f"{layer}/kernel", name, from_chw(kernel) if layer == "fc6" else kernel)


def _check_storage(kind: Any, dtype: Any, key: Any, count: Any) -> None:
    if (kind, dtype) != ("storage", "float32") or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise ValueError("expected the name of a float32 storage and the number of its values")


def _zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            check_size(sum(entry.file_size for entry in archive.infolist()))
            names, storages = {name.partition("/")[2]: name for name in archive.namelist()}, dict[str, Storage]()
            if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
                raise WeightsError(f"{path}: expected little-endian values. Received: big-endian ones")

            def storage(pid: Any) -> Storage:
                kind, dtype, key, _, count = pid
                _check_storage(kind, dtype, key, count)
                entry = archive.getinfo(names[f"data/{key}"])
                if entry.file_size != 4 * count:
                    raise ValueError(f"storage {key} of {count} values has {entry.file_size} bytes")
                if key not in storages:
                    storages[key] = Storage(count, archive.read(entry))
                return storages[key]

            return load_pickle(io.BytesIO(archive.read(names["data.pkl"])), str(path), ALLOWED, storage)
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{path}: expected a whole .pth file. Received: a damaged one ({one_line(error)})") from None


def _legacy(path: Path) -> Any:
    """Five pickles (magic number, protocol, platform, the state dict, the order of the storages), then the values."""
    label, storages = str(path), dict[str, Storage]()

    def storage(pid: Any) -> Storage:
        kind, dtype, key, _, count, view = pid
        _check_storage(kind, dtype, key, count)
        if view is not None:
            raise ValueError("a storage that is a part of another")
        return storages.setdefault(key, Storage(count))

    with path.open("rb") as file:
        if load_pickle(file, label, {}) != LEGACY_MAGIC:
            raise WeightsError(f"{path}: expected a .pth file. Received: another pickle")
        _, platform = load_pickle(file, label, {}), load_pickle(file, label, {})
        if not isinstance(platform, dict) or platform.get("little_endian") is not True:
            raise WeightsError(f"{path}: expected little-endian values. Received: big-endian ones")
        state, keys = load_pickle(file, label, ALLOWED, storage), load_pickle(file, label, {})
        check_size(4 * sum(storage.count for storage in storages.values()))
        for key in keys if isinstance(keys, list) else []:
            length = file.read(8)
            count = struct.unpack("<q", length)[0] if len(length) == 8 else -1
            if not isinstance(key, str) or key not in storages or count != storages[key].count:
                raise WeightsError(f"{path}: expected the storages of its tensors. Received: another of {count} values")
            storages[key].content = file.read(4 * count)
    if short := [key for key, storage in storages.items() if len(storage.content) != 4 * storage.count]:
        raise WeightsError(
            f"{path}: expected a whole .pth file. Received: one without all values of storage {short[0]}"
        )
    return state
