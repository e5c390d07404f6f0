"""Pretrained weights: read from a file, loaded into a network strictly, both directions reported."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from alexnet_exp.config import to_dict
from alexnet_exp.config.schema import Preprocess
from alexnet_exp.errors import WeightsError
from alexnet_exp.model.alexnet import block_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pretrained:
    """Weights by name and what the network that had them was fed with.

    Attributes:
      values: `layer/variable` -> array: `conv1/kernel` (height, width, channels per group, filters), `fc6/bias`.
      preprocess: how raw pixels become the network's input.
      sha256: of the file.
    """

    values: dict[str, np.ndarray]
    preprocess: Preprocess
    sha256: str


def read_weights(path: Path) -> Pretrained:
    """Reads a `.safetensors` file written by `write_weights`, or a network saved as `.keras`.

    Raises:
      WeightsError: when the file is damaged or not one of the two.
    """
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".keras":
        network = keras.saving.load_model(path, compile=False)
        settings = network.get_layer("preprocess").get_config()
        preprocess = Preprocess(**{name: settings[name] for name in ("channels", "scale", "mean", "std")})
        return Pretrained({name: np.asarray(value) for name, value in _variables(network).items()}, preprocess, sha256)
    try:
        with safe_open(path, framework="numpy") as file:
            preprocess = Preprocess(**json.loads((file.metadata() or {})["preprocess"]))
            return Pretrained({name: file.get_tensor(name) for name in file.keys()}, preprocess, sha256)  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"weights: expected a safetensors file of this project. Received: {path} ({error})"
        ) from None


def write_weights(path: Path, values: dict[str, np.ndarray], preprocess: Preprocess) -> None:
    """Writes a `.safetensors` file that `read_weights` reads."""
    contiguous = {name: np.ascontiguousarray(value) for name, value in values.items()}
    save_file(contiguous, path, metadata={"preprocess": json.dumps(to_dict(preprocess))})


def load_weights(network: keras.Model, pretrained: Pretrained, fresh: list[str]) -> None:
    """Loads pretrained weights into all layers of a network but the `fresh` ones.

    Raises:
      WeightsError: when a layer is missing in the file, a weight in the file is not in the network, or a shape differs.
    """
    wanted = {name: variable for name, variable in _variables(network).items() if _layer(name) not in fresh}
    given = {name: value for name, value in pretrained.values.items() if _layer(name) not in fresh}
    problems = []
    if missing := sorted(wanted.keys() - given.keys()):
        problems.append(f"missing in the weights: {', '.join(missing)} (weights.fresh initialises layers anew)")
    if unused := sorted(given.keys() - wanted.keys()):
        problems.append(f"not in the model: {', '.join(unused)}")
    for name in sorted(wanted.keys() & given.keys()):
        if tuple(wanted[name].shape) != given[name].shape:
            problems.append(f"{name}: expected shape {tuple(wanted[name].shape)}. Received: {given[name].shape}")
    if problems:
        raise WeightsError(f"weights do not fit model {network.name}: {'; '.join(problems)}")
    for name, variable in wanted.items():
        variable.assign(given[name])
    layers = list(dict.fromkeys(_layer(name) for name in wanted))
    log.info("pretrained: %s; initialised anew: %s", ", ".join(layers), ", ".join(fresh) or "none")


def _variables(network: keras.Model) -> dict[str, keras.Variable]:
    """The network's weights by `layer/variable`; the state of random generators is not a weight."""
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in network.layers
        for variable in layer.variables
        if "seed_generator" not in variable.path
    }


def _layer(name: str) -> str:
    return block_of(name.split("/")[0])
