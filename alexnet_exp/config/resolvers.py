"""Interpolations that know the layers of whatever model is composed, for settings that fit every model."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

HEAD = "head"


def register_resolvers() -> None:
    """Makes `${hidden_layers:}`, `${layers_from:conv5}` and the others known to OmegaConf."""
    for resolver in (hidden_layers, layers_from, layer_by_layer, dropout_rates):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


def hidden_layers(*, _root_: DictConfig) -> list[str]:
    """All layers with weights but the head."""
    return [*_root_.model.conv, *_root_.model.dense]


def layers_from(first: str, *, _root_: DictConfig) -> list[str]:
    """The layer `first` and all behind it, the head last."""
    layers = [*hidden_layers(_root_=_root_), HEAD]
    if first not in layers:
        raise ValueError(f"expected a layer of the model. Options: {', '.join(layers)}. Received: {first}")
    return layers[layers.index(first) :]


def layer_by_layer(epochs: int, head_rate: float, rate: float, *, _root_: DictConfig) -> list[dict[str, Any]]:
    """Stages of fine-tuning: the head, then in each one more layer towards the input."""
    layers = [HEAD, *reversed(hidden_layers(_root_=_root_))]
    return [
        {"layers": layers[:count], "epochs": epochs, "learning_rate": head_rate if count == 1 else rate}
        for count in range(1, len(layers) + 1)
    ]


def dropout_rates(conv: float, dense: float, head: float = 0.0, *, _root_: DictConfig) -> dict[str, float]:
    """One rate for all convolutional layers, one for all hidden dense layers, and one for the head."""
    model = _root_.model
    return _all(model.conv, conv) | _all(model.dense, dense) | {HEAD: head}


def _all(layers: Sequence[Any], rate: float) -> dict[str, float]:
    return {str(layer): rate for layer in layers}
