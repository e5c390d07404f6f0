"""The file that keeps pretrained weights: safetensors, with what a network needs to use them. Imports no Keras."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from alexnet_exp.config.schema import Lrn, Preprocess
from alexnet_exp.config.schema.fields import Count, frozen
from alexnet_exp.errors import WeightsError, one_line

# One entry: safetensors writes several in random order, and the same weights would have a different checksum each time.
KEY = "alexnet_exp_weights"
Order = Literal["lrn_pool", "pool_lrn", "none"]


@frozen
class WeightsMetadata:
    """Where weights come from, and the network that they belong to.

    Attributes:
      network: the `conf/model` that they fit.
      layers: those with weights in the file, from the input to the output.
      kernel_layout: `HWIO`: height, width, input channels per group, filters; the first filters are group 0.
      groups: of each convolution.
      preprocess: how raw RGB pixels become the network's input.
      lrn: `x / (k + alpha * sum of squares) ** beta`; `alpha` is the published one divided by `size` where the
        source's implementation divides.
      order: of LRN and pooling.
      source: who published them.
      licence: as stated there.
      original_sha256: of the file that was converted.
    """

    network: Annotated[str, Field(pattern="^[a-z0-9_]+$")]
    layers: Annotated[list[str], Field(min_length=1)]
    kernel_layout: Literal["HWIO"]
    groups: dict[str, Count]
    preprocess: Preprocess
    lrn: Lrn | None
    order: Order
    source: str
    licence: str
    original_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], WeightsMetadata]:
    """Reads a file of `write_weights`.

    Returns:
      The values by `layer/variable`, and the metadata.

    Raises:
      WeightsError: when the file is missing, damaged, not one of this project, or holds values that are not finite.
    """
    metadata = read_metadata(path)
    try:
        with safe_open(path, framework="numpy") as file:
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: expected float32 tensors. Received: {one_line(error)}") from None
    check_weights(str(path), values, metadata)
    return values, metadata


def read_metadata(path: Path) -> WeightsMetadata:
    """Reads what the weights are, not the weights themselves.

    Raises:
      WeightsError: when the file is missing, damaged, or not one of this project.
    """
    expected = f"{path}: expected a safetensors file of this project"
    if not path.is_file():
        raise WeightsError(f"{expected}. Received: {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, framework="numpy") as file:
            entries = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{expected}. Received: {one_line(error)}") from None
    if KEY not in entries:
        raise WeightsError(f"{expected}, with the metadata {KEY!r}. Received: {sorted(entries) or 'no metadata'}")
    try:
        return TypeAdapter(WeightsMetadata).validate_json(entries[KEY])
    except ValidationError as error:
        raise WeightsError(f"{expected}, with complete metadata. Received: {one_line(error)}") from None


def write_weights(path: Path, values: dict[str, np.ndarray], metadata: WeightsMetadata) -> None:
    """Writes a file that `read_safetensors` reads: all of it, or nothing.

    Args:
      path: of the new file, in a folder that exists; a file that is there is replaced.
      values: by `layer/variable`, float32: `conv1/kernel` `[H, W, I, O]`, `fc6/kernel` `[I, O]`, `conv1/bias` `[O]`.
      metadata: says what they are.

    Raises:
      WeightsError: when the values are not what the metadata say, or the file cannot be written.
    """
    check_weights(str(path), values, metadata)
    contiguous = {name: np.ascontiguousarray(value) for name, value in values.items()}
    try:
        text = TypeAdapter(WeightsMetadata).dump_json(metadata).decode()
    except PydanticSerializationError as error:
        raise WeightsError(f"{path}: expected metadata of Unicode text. Received: {one_line(error)}") from None
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(save(contiguous, metadata={KEY: text}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise WeightsError(f"{path}: expected a file that can be written. Received: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def check_weights(label: str, values: dict[str, np.ndarray], metadata: WeightsMetadata) -> None:
    """Checks names, types, shapes and finiteness against the metadata.

    Raises:
      WeightsError: one line with the file `label`, the layer, what was expected and what was received.
    """
    layers = list(dict.fromkeys(name.split("/")[0] for name in values))
    if sorted(layers) != sorted(metadata.layers):
        raise WeightsError(f"{label}: expected the layers {', '.join(metadata.layers)}. Received: {', '.join(layers)}")
    if (metadata.lrn is None) != (metadata.order == "none"):
        raise WeightsError(f"{label}: expected order none without lrn alone. Received: {metadata.order}")
    for name, value in values.items():
        if not re.fullmatch(r"(conv\d+|fc\d+|head)/(kernel|bias)", name):
            raise WeightsError(f"{label}: expected convN, fcN or head with /kernel or /bias. Received: {name}")
        if value.dtype != np.float32:
            raise WeightsError(f"{label}: {name}: expected float32. Received: {value.dtype}")
    check_finite(label, values)
    for layer in layers:
        kernel, bias = values.get(f"{layer}/kernel"), values.get(f"{layer}/bias")
        if kernel is None or bias is None:
            raise WeightsError(
                f"{label}: {layer}: expected a kernel and a bias. Received: a {'bias' if kernel is None else 'kernel'}"
            )
        rank = 4 if layer.startswith("conv") else 2
        if kernel.ndim != rank:
            raise WeightsError(f"{label}: {layer}/kernel: expected {rank} dimensions. Received: shape {kernel.shape}")
        if bias.shape != kernel.shape[-1:]:
            raise WeightsError(f"{label}: {layer}/bias: expected shape {kernel.shape[-1:]}. Received: {bias.shape}")
        if rank == 4 and kernel.shape[-1] % metadata.groups.get(layer, kernel.shape[-1] + 1):
            raise WeightsError(
                f"{label}: {layer}: expected groups that divide {kernel.shape[-1]} filters. "
                f"Received: {metadata.groups.get(layer, 'none')}"
            )


def check_finite(label: str, values: dict[str, np.ndarray]) -> None:
    """Raises WeightsError with the file `label` and the name of the first values that are not finite."""
    for name, value in values.items():
        if not np.isfinite(value).all():
            counts = {"NaN": np.isnan(value).sum(), "infinite": np.isinf(value).sum()}
            received = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
            raise WeightsError(f"{label}: {name}: expected finite values. Received: {received}")
