"""From a foreign file to checked values and metadata."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet_exp.checksums import file_sha256
from alexnet_exp.errors import WeightsError, one_line
from alexnet_exp.model.formats.caffe import read_caffemodel
from alexnet_exp.model.formats.networks import KERNELS, TWO_GROUPS, TWO_TOWERS
from alexnet_exp.model.formats.npy import read_npy
from alexnet_exp.model.formats.npz import read_npz
from alexnet_exp.model.formats.reading import Part, Reading
from alexnet_exp.model.formats.theano import read_h5
from alexnet_exp.model.formats.torch import read_pth
from alexnet_exp.model.weight_files import WeightsMetadata, check_weights

READERS: dict[str, Callable[[Path], Reading]] = {
    "npz": read_npz,
    "npy": read_npy,
    "caffemodel": read_caffemodel,
    "pth": read_pth,
    "h5": read_h5,
}


@dataclass(frozen=True)
class Mapped:
    """One row of the table: where a value came from. `dtype` is the source's."""

    target: str
    source: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Conversion:
    """Values and metadata for `write_weights`, and what to tell the user."""

    values: dict[str, np.ndarray]
    metadata: WeightsMetadata
    mapped: list[Mapped]
    left_out: dict[str, str]
    format: str


def detect_format(path: Path) -> str:
    """The name of the reader for a file, by its first bytes; `.caffemodel` has none and goes by its name.

    Raises:
      WeightsError: when there is no such file or its format is not known.
    """
    expected = f"{path}: expected a file of one of the formats {', '.join(READERS)}"
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{expected}. Received: {'a folder' if path.is_dir() else 'no regular file'}")
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise WeightsError(f"{expected}. Received: {error.strerror}") from None
    if not head:
        raise WeightsError(f"{expected}. Received: an empty file")
    if head.startswith(b"PK"):
        return _detect_zip(path, expected)
    for magic, name in ((b"\x93NUMPY", "npy"), (b"\x89HDF\r\n\x1a\n", "h5")):
        if head.startswith(magic):
            return name
    if head.startswith(b"\x80") and path.suffix in (".pth", ".pt"):
        return "pth"
    if path.suffix == ".caffemodel":
        return "caffemodel"
    raise WeightsError(f"{expected}. Received: {path.suffix or 'no suffix'}, starting with the bytes {head.hex(' ')}")


def convert(
    path: Path, source: str | None = None, licence: str | None = None, single_tower: bool = False
) -> Conversion:
    """Reads a foreign file and checks it.

    Args:
      path: of the file.
      source: who published it; None keeps what the format or the file says.
      licence: as stated there; None keeps what the format or the file says.
      single_tower: makes the kernels of two groups block-diagonal, for `model=alexnet`.

    Raises:
      WeightsError: one line, when the format or the network is not known, or the file is damaged.
    """
    name = detect_format(path)
    reading = _read(path, name)
    parts = _checked(path, reading)
    values = {part.target: _float32(part.value) for part in parts}
    layers = [layer for layer in KERNELS[reading.network] if f"{layer}/kernel" in values]
    two_towers = KERNELS[reading.network]["conv1"] == TWO_TOWERS["conv1"]
    groups = {layer: 2 if two_towers and layer in TWO_GROUPS else 1 for layer in layers if layer.startswith("conv")}
    network = reading.network
    if single_tower and two_towers:
        values, network, groups = as_single_tower(values, groups), "alexnet", dict.fromkeys(groups, 1)
    metadata = WeightsMetadata(
        network=network,
        layers=layers,
        kernel_layout="HWIO",
        groups=groups,
        preprocess=reading.preprocess,
        lrn=reading.lrn,
        order=reading.order,
        source=reading.source if source is None else source,
        licence=reading.licence if licence is None else licence,
        original_sha256=file_sha256(path),
    )
    check_weights(str(path), values, metadata)
    mapped = [Mapped(part.target, part.source, values[part.target].shape, str(part.value.dtype)) for part in parts]
    absent = [layer for layer in KERNELS[reading.network] if layer not in layers]
    left_out = {layer: reading.left_out.get(layer, "not in the file") for layer in absent}
    return Conversion(values, metadata, mapped, left_out, name)


def as_single_tower(values: dict[str, np.ndarray], groups: dict[str, int]) -> dict[str, np.ndarray]:
    """Grouped kernels as kernels of one group that compute the same: block-diagonal, zero between the towers.

    Args:
      values: by `layer/variable`; kernels `[H, W, I, O]`, I per group.
      groups: of each convolution.

    Returns:
      The same values, kernels of G groups as `[H, W, G * I, O]`.
    """
    joined = dict(values)
    for layer, count in groups.items():
        kernel = values[f"{layer}/kernel"]
        height, width, inputs, outputs = kernel.shape
        blocks = np.zeros((height, width, inputs * count, outputs), kernel.dtype)
        step = outputs // count
        for group in range(count):
            filters = slice(group * step, (group + 1) * step)
            blocks[:, :, group * inputs : (group + 1) * inputs, filters] = kernel[..., filters]
        joined[f"{layer}/kernel"] = blocks
    return joined


def _read(path: Path, name: str) -> Reading:
    try:
        return READERS[name](path)
    except WeightsError:
        raise
    except Exception as error:  # zipfile, NumPy and h5py raise many kinds for bytes that make no sense
        raise WeightsError(
            f"{path}: expected a whole {name} file. Received: a damaged one ({one_line(error)})"
        ) from error


def _checked(path: Path, reading: Reading) -> list[Part]:
    """The parts from the input to the output, once names, types and shapes are those of the network."""
    kernels = KERNELS[reading.network]
    found = {part.target: part for part in reading.parts}
    if len(found) != len(reading.parts) or not found:
        raise WeightsError(
            f"{path}: expected each layer of {reading.network} once. Received: {len(reading.parts)} arrays"
        )
    parts = []
    for layer, shape in kernels.items():
        kernel, bias = found.get(f"{layer}/kernel"), found.get(f"{layer}/bias")
        if kernel is None and bias is None:
            continue
        if kernel is None or bias is None:
            given = "bias" if kernel is None else "kernel"
            raise WeightsError(f"{path}: {layer}: expected a kernel and a bias. Received: a {given} alone")
        received = kernel.value.shape
        if len(received) != len(shape) or any(
            size not in (None, got) for size, got in zip(shape, received, strict=True)
        ):
            raise WeightsError(
                f"{path}: {layer} ({kernel.source}): expected {reading.network}'s {_text(shape)} in the order "
                f"{'HWIO' if len(shape) == 4 else 'inputs, outputs'}. Received: {_text(received)}"
            )
        if bias.value.shape != received[-1:]:
            raise WeightsError(
                f"{path}: {layer} ({bias.source}): expected {_text(received[-1:])}. Received: {_text(bias.value.shape)}"
            )
        parts += [kernel, bias]
    for part in parts:
        if not part.value.size:
            raise WeightsError(f"{path}: {part.source}: expected values. Received: {_text(part.value.shape)}")
        if part.value.dtype.kind != "f":
            raise WeightsError(f"{path}: {part.source}: expected floating point. Received: {part.value.dtype}")
    return parts


def _text(shape: tuple[int | None, ...]) -> str:
    return "x".join("classes" if size is None else str(size) for size in shape) or "a scalar"


def _float32(value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # becomes infinite, which is refused with the layer's name
        return np.ascontiguousarray(value, np.float32)


def _detect_zip(path: Path, expected: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{expected}. Received: a damaged or truncated archive ({one_line(error)})") from None
    if any(name.endswith("/data.pkl") for name in names):
        return "pth"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise WeightsError(f"{expected}. Received: an archive of {', '.join(names[:3]) or 'nothing'}")
