"""`alexnet_weights.h5` of convnets-keras (Heuritech): Keras 1 on Theano, a layer for each tower."""

from pathlib import Path

import h5py
import numpy as np

from alexnet_exp.config.schema import Lrn, Preprocess
from alexnet_exp.errors import WeightsError, one_line
from alexnet_exp.model.formats.reading import Part, Reading, check_size, from_chw, from_oihw

# Target layer -> the groups of the file that make it, in the order of the towers.
LAYERS = {
    "conv1": ["conv_1"],
    "conv2": ["conv_2_1", "conv_2_2"],
    "conv3": ["conv_3"],
    "conv4": ["conv_4_1", "conv_4_2"],
    "conv5": ["conv_5_1", "conv_5_2"],
    "fc6": ["dense_1"],
    "fc7": ["dense_2"],
    "head": ["dense_3"],
}
PREPROCESS = Preprocess(channels="rgb", scale=1.0, mean=[123.68, 116.779, 103.939], std=[1.0, 1.0, 1.0])
LRN = Lrn(size=5, alpha=1e-4, beta=0.75, k=2.0)  # its crosschannelnormalization does not divide alpha by the size


def read_h5(path: Path) -> Reading:
    """Reads the file; kernels are `[O, I, H, W]` and are flipped, because Theano convolves where Keras correlates.

    The network pools before it normalises, as CaffeNet does, but takes RGB (`convnetskeras/convnets.py`, `AlexNet`).

    Raises:
      WeightsError: when the file is damaged, refers to other files, or holds other layers.
    """
    arrays = _arrays(path)
    parts, left_out = [], dict[str, str]()
    for layer, groups in LAYERS.items():
        present = [group for group in groups if group in arrays]
        if present and present != groups:
            missing = ", ".join(group for group in groups if group not in present)
            left_out[layer] = f"the file has {', '.join(present)} without {missing}"
        elif present:
            for variable, suffix in (("kernel", "W"), ("bias", "b")):
                towers = [arrays[group][suffix] for group in groups]
                names = ", ".join(f"{group}_{suffix}" for group in groups)
                parts.append(Part(f"{layer}/{variable}", names, _join(path, layer, variable, towers)))
    return Reading(
        "caffenet", parts, left_out, PREPROCESS, LRN, "pool_lrn", "convnets-keras alexnet_weights.h5, Heuritech"
    )


def _join(path: Path, layer: str, variable: str, towers: list[np.ndarray]) -> np.ndarray:
    if len({tower.shape for tower in towers}) != 1:
        shapes = ", ".join(str(tower.shape) for tower in towers)
        raise WeightsError(f"{path}: {layer}/{variable}: expected towers of one shape. Received: {shapes}")
    value = np.concatenate(towers)  # filters come first, in kernels and in biases
    if variable == "bias" or not layer.startswith("conv"):
        return from_chw(value) if (layer, variable) == ("fc6", "kernel") else value
    return from_oihw(value[:, :, ::-1, ::-1] if value.ndim == 4 else value)


def _arrays(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Group -> `W` and `b`."""
    known = [group for groups in LAYERS.values() for group in groups]
    arrays, size = dict[str, dict[str, np.ndarray]](), 0
    try:
        with h5py.File(path, "r") as file:
            for group in file:
                content = _local(path, file, group)
                names = list(content) if isinstance(content, h5py.Group) else [group]
                if not names:  # layers without weights
                    continue
                if group not in known or sorted(names) != [f"{group}_W", f"{group}_b"]:
                    raise WeightsError(
                        f"{path}: expected the groups {', '.join(known)}, each with <group>_W and <group>_b. "
                        f"Received: {group} with {', '.join(names)}"
                    )
                datasets = {name[-1]: _dataset(path, content, name) for name in names}
                check_size(size := size + sum(dataset.nbytes for dataset in datasets.values()))
                arrays[group] = {name: np.asarray(dataset[()]) for name, dataset in datasets.items()}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: expected a whole HDF5 file. Received: {one_line(error)}") from None
    return arrays


def _dataset(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    dataset = _local(path, group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise WeightsError(f"{path}: {name}: expected values in the file itself. Received: a reference to another file")
    if dataset.dtype.kind != "f":
        raise WeightsError(f"{path}: {name}: expected floating point. Received: {dataset.dtype}")
    return dataset


def _local(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A member that is in the file: links would open any other file that the user can read."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise WeightsError(f"{path}: {name}: expected values in the file itself. Received: a link")
    return group[name]
