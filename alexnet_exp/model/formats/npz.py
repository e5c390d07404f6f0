"""`.npz` with `convN_w` (HWIO), `convN_b` and `meta`, a JSON string that says what the network was fed with."""

import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_exp.config.schema import Lrn, Preprocess
from alexnet_exp.errors import WeightsError, one_line
from alexnet_exp.model.formats.reading import Part, Reading, check_size
from alexnet_exp.model.weight_files import Order

NETWORKS: dict[str, tuple[str, Order]] = {
    "conv-relu-lrn-pool": ("alexnet_2012", "lrn_pool"),
    "conv-relu-pool-lrn": ("caffenet", "pool_lrn"),
}
LRN = re.compile(r"local_size (\S+), alpha (\S+) \(divided by (\S+)\), beta (\S+), k (\S+)")


def read_npz(path: Path) -> Reading:
    """Reads the archive; a layer of which the file has the bias alone is left out.

    Raises:
      WeightsError: when it is damaged, or its `meta` is not understood.
    """
    arrays = _arrays(path)
    if "meta" not in arrays:
        raise WeightsError(f"{path}: expected convN_w, convN_b and meta. Received: {', '.join(sorted(arrays))}")
    meta = _meta(path, str(arrays.pop("meta")))
    network, order = NETWORKS[meta["order"].split()[0]]
    parts, left_out = [], dict[str, str]()
    for name, value in arrays.items():
        if not (match := re.fullmatch(r"(conv[1-5]|fc[67]|fc8)_([wb])", name)):
            raise WeightsError(f"{path}: expected convN_w, convN_b, fcN_w, fcN_b and meta. Received: {name}")
        layer, variable = match[1], "kernel" if match[2] == "w" else "bias"
        target = layer.replace("fc8", "head")
        if f"{layer}_w" not in arrays:
            left_out[target] = f"the file has no kernel, only {name}"
            continue
        parts.append(Part(f"{target}/{variable}", name, value))
    return Reading(network, parts, left_out, _preprocess(meta), _lrn(meta), order, _source(meta))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            check_size(sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{others[0]} is no array")
        return arrays
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: expected a whole .npz of arrays. Received: {one_line(error)}") from None


def _meta(path: Path, text: str) -> dict[str, Any]:
    """The metadata, once everything that is used of it is there and understood."""
    try:
        meta = json.loads(text)
        checks = {
            "kernel_layout": meta["kernel_layout"].startswith("HWIO"),
            "order": meta["order"].split()[0] in NETWORKS,
            "channel_order": meta["channel_order"] in ("RGB", "BGR"),
            "pixel_scale": meta["pixel_scale"].startswith(("0..255", "0..1 ")),
            "lrn": bool(LRN.fullmatch(meta["lrn"])),
        }
        _preprocess(meta)
        if checks["lrn"]:
            _lrn(meta)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        received = f"{type(error).__name__}: {one_line(error)}"
        raise WeightsError(f"{path}: meta: expected what the network was fed with. Received: {received}") from None
    if unknown := [f"{name}={meta[name]!r}" for name, known in checks.items() if not known]:
        raise WeightsError(f"{path}: meta: expected a description that is known. Received: {', '.join(unknown)}")
    return dict(meta)


def _preprocess(meta: dict[str, Any]) -> Preprocess:
    channels = meta["channel_order"]
    unit = meta["pixel_scale"].startswith("0..1 ")
    return Preprocess(
        channels=channels.lower(),
        scale=1 / 255 if unit else 1.0,
        mean=meta[f"mean_{channels}"],
        std=meta[f"std_{channels}"] if unit else [1.0, 1.0, 1.0],
    )


def _lrn(meta: dict[str, Any]) -> Lrn:
    size, *numbers = LRN.fullmatch(meta["lrn"]).groups()  # type: ignore[union-attr]
    alpha, divisor, beta, k = map(float, numbers)
    return Lrn(size=int(size), alpha=alpha / divisor, beta=beta, k=k)


def _source(meta: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {meta[name]}" for name in ("source", "kernels", "biases") if name in meta)
