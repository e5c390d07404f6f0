"""Writes files in the foreign formats byte by byte, by other means than the converters read them."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Arrays = Mapping[str, np.ndarray]
META = {
    "kernel_layout": "HWIO (I = in_channels/groups; first half of O is group 0)",
    "lrn": "local_size 5, alpha 1e-4 (divided by 5), beta 0.75, k 1",
    "channel_order": "BGR",
    "pixel_scale": "0..255",
    "mean_BGR": [104.0, 117.0, 123.0],
    "order": "conv-relu-pool-lrn (CaffeNet order)",
    "source": "a test",
}


def write_npz(path: Path, arrays: Arrays, meta: Mapping[str, Any] = META) -> Path:
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


# --- pickles, opcode by opcode -------------------------------------------------------------------------------------


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def python2_bytes(value: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(value)) + value


def python2_array(shape: tuple[int, ...], code: str, content: bytes, order: bytes = b"<") -> bytes:
    """An array as NumPy under Python 2 pickled it: strings without encoding."""
    made = glob("numpy.core.multiarray", "_reconstruct") + b"(" + glob("numpy", "ndarray")
    made += numbers((0,)) + python2_bytes(b"b") + b"tR"
    dtype = glob("numpy", "dtype") + b"(" + python2_bytes(code.encode()) + number(0) + number(1) + b"tR"
    dtype += b"(" + number(3) + python2_bytes(order) + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    return made + b"(" + number(1) + numbers(shape) + dtype + b"\x89" + content + b"tb"


def write_python2_npy(path: Path, layers: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """A dict of layer -> [kernel, bias] as `numpy.save` under Python 2 wrote it."""
    content = b"}("
    for name, pair in layers.items():
        arrays = [python2_array(a.shape, f"f{a.itemsize}", python2_bytes(a.tobytes())) for a in pair]
        content += python2_bytes(name.encode()) + b"](" + b"".join(arrays) + b"e"
    content += b"u"
    return write_npy_pickle(path, b"\x80\x02" + python2_array((), "O8", b"](" + content + b"e", b"|") + b".")


def write_npy_pickle(path: Path, content: bytes) -> Path:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": (), "fortran_order": False, "descr": "|O"})
    path.write_bytes(file.getvalue() + content)
    return path


def hostile_pickle(marker: Path) -> bytes:
    """Creates the marker file when anything executes it."""
    return b"\x80\x02" + glob("posix", "system") + b"(" + text(f"touch {marker}") + b"tR."


# --- PyTorch -------------------------------------------------------------------------------------------------------


def state_dict(arrays: Arrays, legacy: bool = False) -> bytes:
    """The pickle of a state dict; storage 0 is the first array's."""
    made = b"\x80\x02" + glob("collections", "OrderedDict") + b")R("
    for key, (name, array) in enumerate(arrays.items()):
        storage = b"(" + text("storage") + glob("torch", "FloatStorage") + text(str(key)) + text("cpu")
        storage += number(array.size) + (b"N" if legacy else b"") + b"tQ"
        strides = tuple(stride // array.itemsize for stride in array.strides)
        hooks = glob("collections", "OrderedDict") + b")R"
        tensor = b"(" + storage + number(0) + numbers(array.shape) + numbers(strides) + b"\x89" + hooks + b"tR"
        made += text(name) + glob("torch._utils", "_rebuild_tensor_v2") + tensor
    metadata = b"}" + text("_metadata") + glob("collections", "OrderedDict") + b")Rsb"
    return made + b"u" + metadata + b"."


def write_pth(path: Path, arrays: Arrays, content: bytes | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alexnet/data.pkl", state_dict(arrays) if content is None else content)
        archive.writestr("alexnet/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"alexnet/data/{key}", array.tobytes())
        archive.writestr("alexnet/version", "3\n")
    return path


def write_legacy_pth(path: Path, arrays: Arrays) -> Path:
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    platform = b"\x80\x02}" + text("little_endian") + b"\x88s."
    keys = b"\x80\x02](" + b"".join(text(str(key)) for key in range(len(arrays))) + b"e."
    content = magic + b"\x80\x02M\xe9\x03." + platform + state_dict(arrays, legacy=True) + keys
    for array in arrays.values():
        content += struct.pack("<q", array.size) + array.tobytes()
    path.write_bytes(content)
    return path


# --- Caffe ---------------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made, value = made + bytes([value & 127 | 128]), value >> 7
    return made + bytes([value])


def integer(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray, legacy: bool = False) -> bytes:
    field = 5 if array.dtype == np.float32 else 8
    if legacy:
        shape = b"".join(integer(n + 1, size) for n, size in enumerate((1,) * (4 - array.ndim) + array.shape))
    else:
        shape = block(7, block(1, b"".join(varint(size) for size in array.shape)))
    return shape + block(field, array.tobytes())


def v1_layer(name: str, kind: int, *arrays: np.ndarray) -> bytes:
    content = block(4, name.encode()) + integer(5, kind)
    return block(2, content + b"".join(block(6, blob(array, legacy=True)) for array in arrays))


def layer(name: str, kind: str, *arrays: np.ndarray, lrn: bytes = b"") -> bytes:
    content = block(1, name.encode()) + block(2, kind.encode())
    content += b"".join(block(7, blob(array)) for array in arrays)
    return block(100, content + (block(118, lrn) if lrn else b""))


# --- Keras 1 on Theano ---------------------------------------------------------------------------------------------


def write_h5(path: Path, arrays: Arrays) -> Path:
    """Arrays by `conv_1_W`; a layer without weights as Keras 1 wrote it, an empty group."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.require_group(name[:-2])[name] = array
        file.create_group("flatten")
    return path
