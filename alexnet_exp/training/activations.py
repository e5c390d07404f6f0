"""The outputs of networks that do not change: of a frozen prefix, of a feature extractor; computed once and kept."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

import keras
import numpy as np

from alexnet_exp.checksums import json_sha256
from alexnet_exp.console import track
from alexnet_exp.data import ImageSet
from alexnet_exp.data.batches import steps_per_epoch, view_batches
from alexnet_exp.data.views import Draws, View, Views, view_names
from alexnet_exp.model.alexnet import split_network
from alexnet_exp.training.activation_store import ActivationStore

log = logging.getLogger(__name__)
LAYOUT = 1  # part of the key: raise it when the same key would mean other numbers
NO_EFFECT = ("name", "trainable", "kernel_initializer", "bias_initializer")  # on the output, of a layer's settings


def outputs(
    network: keras.Model, images: ImageSet, views: Views, batch_size: int, store: ActivationStore | None = None
) -> np.ndarray:
    """The network's outputs, averaged over the views: probabilities of a whole network, features of a cut one.

    Args:
      store: keeps the outputs of each view; None computes them.

    Returns:
      float32 `[N, D]`.
    """
    names = view_names(views)
    total = np.zeros((len(images), network.output_shape[-1]), np.float32)
    kept = None if store is None else kept_outputs(network, images, names, batch_size, store)
    for number, view in enumerate(names):
        start = 0
        for piece in _computed(network, images, view, batch_size) if kept is None else [kept[number]]:
            total[start : start + len(piece)] += piece
            start += len(piece)
    return total / len(names)


def kept_outputs(
    network: keras.Model, images: ImageSet, views: Sequence[View], batch_size: int, store: ActivationStore
) -> list[np.ndarray] | None:
    """For each view the outputs of all images, mapped `[N, ...]`; computed where the store does not have them.

    What an earlier part of the same network gave for these images is taken up where the store has that.

    Returns:
      None where the store cannot keep them.
    """
    shape = (len(images), *network.output_shape[1:])
    if not store.has_room(shape, 1):
        return None
    chain, kept = _chain(network), []
    for view in views:
        content = [LAYOUT, images.content_sha256, asdict(view) if isinstance(view, Draws) else view, store.dtype]
        keys = [json_sha256([digest, *content]) for digest in chain]
        title = f"{network.name}, {_title(view)}, {len(images)} images"
        compute = partial(_computed_or_continued, network, images, view, batch_size, store, keys)
        if (array := store.get(keys[-1], title, shape, compute)) is None:
            return None
        kept.append(array)
    return kept


def _computed_or_continued(
    network: keras.Model, images: ImageSet, view: View, batch_size: int, store: ActivationStore, keys: list[str]
) -> Iterator[np.ndarray]:
    """The outputs in pieces, from the deepest activations that the store has; `keys` has one for each layer."""
    for depth in range(len(keys) - 1, 1, -1):
        if (earlier := store.find(keys[depth - 1])) is not None:
            log.info("%s from the activations of %s", network.name, network.layers[depth - 1].name)
            _, rest = split_network(network, depth)
            return _continued(rest, earlier, batch_size)
    return _computed(network, images, view, batch_size)


def _computed(network: keras.Model, images: ImageSet, view: View, batch_size: int) -> Iterator[np.ndarray]:
    batches = view_batches(images, view, network.input_shape[1], batch_size)
    for batch in track(batches, f"{network.name}, {_title(view)}", steps_per_epoch(images, batch_size)):
        yield network.predict_on_batch(batch)


def _continued(rest: keras.Model, activations: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(activations), batch_size):
        yield rest.predict_on_batch(activations[start : start + batch_size].astype(np.float32))


def _title(view: View) -> str:
    return f"draws {view.number}" if isinstance(view, Draws) else view


def _chain(network: keras.Model) -> list[str]:
    """For each layer a digest of all that the output up to it depends on: the layers' settings and their weights."""
    digests = [""]
    for layer in network.layers:
        settings = {name: value for name, value in layer.get_config().items() if name not in NO_EFFECT}
        weights = [hashlib.sha256(value.tobytes()).hexdigest() for value in layer.get_weights()]
        digests.append(json_sha256([digests[-1], type(layer).__name__, settings, weights]))
    return digests[1:]
