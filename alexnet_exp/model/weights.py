"""Pretrained weights: read from a file, loaded into a network strictly, both directions reported."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from alexnet_exp.checksums import file_sha256
from alexnet_exp.config.schema import Lrn, ModelConfig, Preprocess
from alexnet_exp.errors import WeightsError, one_line
from alexnet_exp.model.alexnet import block_of
from alexnet_exp.model.formats import convert
from alexnet_exp.model.layers import LocalResponseNormalization
from alexnet_exp.model.weight_files import WeightsMetadata, check_finite, read_safetensors, write_weights

__all__ = ["Pretrained", "WeightsMetadata", "load_weights", "read_weights", "write_weights"]

log = logging.getLogger(__name__)
POSITIONS = {"lrn_pool": "after_activation", "pool_lrn": "after_pool"}


@dataclass(frozen=True)
class Pretrained:
    """Weights by name, and the constants of the network that had them.

    Attributes:
      values: `layer/variable` -> array: `conv1/kernel` (height, width, channels per group, filters), `fc6/bias`.
      preprocess: how raw pixels become the network's input.
      lrn: of its local response normalisation; None where it has none.
      sha256: of the file.
      metadata: what the weights are; None for a network saved as `.keras`.
    """

    values: dict[str, np.ndarray]
    preprocess: Preprocess
    lrn: Lrn | None
    sha256: str
    metadata: WeightsMetadata | None

    @cached_property
    def content_sha256(self) -> str:
        """SHA-256 of the values: the same in another file or format."""
        digest = hashlib.sha256()
        for name, value in sorted(self.values.items()):
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()


def read_weights(path: Path) -> Pretrained:
    """Reads a `.safetensors` file of this project, a network saved as `.keras`, or one of the public formats.

    Nothing in a file is executed, whatever its format.

    Raises:
      WeightsError: when the file is missing, damaged or of no known format.
    """
    if path.suffix == ".safetensors":
        values, metadata = read_safetensors(path)
        return Pretrained(values, metadata.preprocess, metadata.lrn, file_sha256(path), metadata)
    if path.suffix != ".keras":
        values, metadata = (conversion := convert(path)).values, conversion.metadata
        return Pretrained(values, metadata.preprocess, metadata.lrn, metadata.original_sha256, metadata)
    try:
        network = keras.saving.load_model(path, compile=False)
        settings = network.get_layer("preprocess").get_config()
        preprocess = Preprocess(**{name: settings[name] for name in ("channels", "scale", "mean", "std")})
        norms = [layer for layer in network.layers if isinstance(layer, LocalResponseNormalization)]
        lrn = Lrn(size=norms[0].size, alpha=norms[0].alpha, beta=norms[0].beta, k=norms[0].k) if norms else None
    except Exception as error:  # Keras raises many kinds for a configuration that makes no sense
        expected = f"{path}: expected a network of this project saved as .keras"
        raise WeightsError(f"{expected}. Received: {one_line(error)}") from None
    values = {name: np.asarray(value) for name, value in _variables(network).items()}
    check_finite(str(path), values)
    return Pretrained(values, preprocess, lrn, file_sha256(path), None)


def adapt_model(model: ModelConfig, pretrained: Pretrained) -> ModelConfig:
    """The model with the preprocessing and the LRN constants that the weights were trained with.

    Raises:
      WeightsError: when LRN and pooling come in another order than in the network that the weights belong to.
    """
    norm = model.norm
    if pretrained.lrn and norm.kind == "lrn":
        position = POSITIONS[pretrained.metadata.order] if pretrained.metadata else norm.position
        if norm.position != position:
            raise WeightsError(f"model.norm.position: expected {position} for these weights. Received: {norm.position}")
        norm = replace(norm, lrn=pretrained.lrn)
    return replace(model, preprocess=pretrained.preprocess, norm=norm)


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
    layers = list(dict.fromkeys(map(_layer, _variables(network))))
    loaded, anew = ([name for name in layers if (name in fresh) == is_fresh] for is_fresh in (False, True))
    log.info("pretrained: %s; initialised anew: %s", ", ".join(loaded), ", ".join(anew) or "none")


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
