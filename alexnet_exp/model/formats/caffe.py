"""Caffe's `.caffemodel`: bvlc_alexnet and CaffeNet, in both generations of its protobuf messages."""

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from alexnet_exp.config.schema import Lrn
from alexnet_exp.errors import WeightsError
from alexnet_exp.model.formats.reading import (
    CAFFE_LRN,
    CAFFE_PREPROCESS,
    Part,
    Reading,
    from_chw,
    from_oihw,
    from_outputs_first,
)
from alexnet_exp.model.weight_files import Order

LAYERS = {**{f"conv{n}": f"conv{n}" for n in range(1, 6)}, "fc6": "fc6", "fc7": "fc7", "fc8": "head"}
NETWORKS: dict[Order, str] = {"lrn_pool": "alexnet_2012", "pool_lrn": "caffenet"}
ORDERS: dict[str, Order] = {
    "AlexNet": "lrn_pool",
    "CaffeNet": "pool_lrn",
}  # by the net's name, for files that list no other layers
LRN_TYPES, POOLING_TYPES = ("LRN", 15), ("Pooling", 17)  # LayerParameter's name, V1LayerParameter's number

# The fields that are needed of caffe.proto: message -> field -> (number, type, repeated). Numbers are `bytes` here: the
# wire format of packed floats is the same, and NumPy reads them without a Python object for each.
MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "BlobShape": {"dim": (1, "int64", True)},
    "BlobProto": {
        "num": (1, "int32", False),
        "channels": (2, "int32", False),
        "height": (3, "int32", False),
        "width": (4, "int32", False),
        "data": (5, "bytes", True),
        "shape": (7, "BlobShape", False),
        "double_data": (8, "bytes", True),
    },
    "LRNParameter": {"local_size": (1, "uint32", False), "alpha": (2, "float", False), "beta": (3, "float", False),
                     "k": (5, "float", False)},
    "V1LayerParameter": {"v0": (1, "bytes", False), "name": (4, "bytes", False), "type": (5, "int32", False),
                         "blobs": (6, "BlobProto", True), "lrn_param": (18, "LRNParameter", False)},
    "LayerParameter": {"name": (1, "bytes", False), "type": (2, "bytes", False), "blobs": (7, "BlobProto", True),
                       "lrn_param": (118, "LRNParameter", False)},
    "NetParameter": {"name": (1, "bytes", False), "layers": (2, "V1LayerParameter", True),
                     "layer": (100, "LayerParameter", True)},
}  # fmt: skip


def read_caffemodel(path: Path) -> Reading:
    """Reads the layers conv1 to conv5 and fc6 to fc8.

    The two networks differ in the order of LRN and pooling, which the file's list of layers tells, or else its name.

    Raises:
      WeightsError: when the file is damaged, of another network or of neither order.
    """
    try:
        net = _net_parameter()()
        net.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise WeightsError(f"{path}: expected a whole .caffemodel. Received: {error}") from None
    layers = [*net.layer, *net.layers]
    if any(layer.HasField("v0") for layer in net.layers):
        raise WeightsError(
            f"{path}: expected layers of Caffe 1 or 2. Received: older ones (upgrade_net_proto_binary mends it)"
        )
    if not any(layer.blobs for layer in layers):
        raise WeightsError(f"{path}: expected a .caffemodel with weights. Received: {len(layers)} layers without any")
    parts = [part for layer in layers if layer.blobs for part in _parts(path, layer)]
    order = _order(path, net, layers)
    source = f"Caffe model {net.name.decode(errors='replace')!r}"
    return Reading(NETWORKS[order], parts, {}, CAFFE_PREPROCESS, _lrn(layers), order, source)


def _parts(path: Path, layer: Any) -> list[Part]:
    name = layer.name.decode(errors="replace")
    if name not in LAYERS:
        raise WeightsError(f"{path}: expected weights in {', '.join(LAYERS)}. Received: {name}")
    if len(layer.blobs) != 2:
        raise WeightsError(f"{path}: {name}: expected a kernel and a bias. Received: {len(layer.blobs)} blobs")
    kernel, bias = (_array(path, name, blob) for blob in layer.blobs)
    if name.startswith("conv"):
        kernel = from_oihw(kernel)
    else:
        kernel = from_outputs_first(kernel.reshape(kernel.shape[-2:]) if kernel.shape[:-2] == (1, 1) else kernel)
        kernel = from_chw(kernel) if name == "fc6" else kernel
    bias = bias.reshape(-1) if bias.size == bias.shape[-1] else bias  # the old shape is (1, 1, 1, O)
    layer_name = LAYERS[name]
    return [Part(f"{layer_name}/kernel", f"{name}[0]", kernel), Part(f"{layer_name}/bias", f"{name}[1]", bias)]


def _array(path: Path, name: str, blob: Any) -> np.ndarray:
    legacy = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else legacy
    raw, dtype = (b"".join(blob.data), "<f4") if blob.data else (b"".join(blob.double_data), "<f8")
    if not shape or min(shape) < 1 or len(raw) != int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize:
        raise WeightsError(f"{path}: {name}: expected values of shape {shape}. Received: {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape)


def _order(path: Path, net: Any, layers: list[Any]) -> Order:
    kinds = [layer.type.decode(errors="replace") if isinstance(layer.type, bytes) else layer.type for layer in layers]
    first = [next((i for i, kind in enumerate(kinds) if kind in types), None) for types in (LRN_TYPES, POOLING_TYPES)]
    match first:
        case [int(lrn), int(pooling)]:
            return "lrn_pool" if lrn < pooling else "pool_lrn"
    name = net.name.decode(errors="replace")
    if name not in ORDERS:
        raise WeightsError(
            f"{path}: expected a net with LRN and pooling layers, or named {' or '.join(ORDERS)}. Received: {name!r}"
        )
    return ORDERS[name]


def _lrn(layers: list[Any]) -> Lrn:
    """The file's own constants where it has them; Caffe divides alpha by the size."""
    for layer in layers:
        if layer.HasField("lrn_param"):
            given = layer.lrn_param
            size = given.local_size if given.HasField("local_size") else 5
            values = {"alpha": 1.0, "beta": 0.75, "k": 1.0}  # caffe.proto's defaults
            # The shortest decimal of the float32: 1e-4, not 9.999999747378752e-05.
            values |= {name: float(str(np.float32(getattr(given, name)))) for name in values if given.HasField(name)}
            return Lrn(size=size, alpha=values["alpha"] / size, beta=values["beta"], k=values["k"])
    return CAFFE_LRN


def _net_parameter() -> Any:
    """The message class, from a descriptor that is made here: no generated code."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="alexnet_exp_caffe.proto", package="alexnet_exp_caffe")
    for message, fields in MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = descriptor.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind in MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".alexnet_exp_caffe.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("alexnet_exp_caffe.NetParameter"))
