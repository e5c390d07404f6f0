"""Layer-wise fine-tuning: in each stage the chosen layers train, the others stay as they are to the last bit."""

import logging
from itertools import accumulate
from typing import Any

import keras

from alexnet_exp.config.schema import Finetune, RunConfig
from alexnet_exp.config.schema import Stage as StagePlan
from alexnet_exp.data import Splits
from alexnet_exp.model.alexnet import block_of
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.strategy.network import as_fitted, build_network, fit_images, on_activations
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.course import Stage
from alexnet_exp.training.fit import OnEpoch

log = logging.getLogger(__name__)


def finetune(
    config: RunConfig,
    splits: Splits,
    pretrained: Pretrained | None,
    on_epoch: OnEpoch,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Trains the stages of `strategy.stages` in order, each with an optimizer of its own."""
    assert isinstance(config.strategy, Finetune)
    plans = config.strategy.stages
    network = build_network(config, len(splits.class_names), pretrained)
    keep_prefixes(network, config, splits, plans)
    history: list[dict[str, Any]] = []
    first_epoch = 0
    for number, plan in enumerate(plans, start=1):
        freeze_all_but(network, plan.layers, config.model.layers)
        stage = Stage(f"stage {number}/{len(plans)}", range(first_epoch, first_epoch + plan.epochs), plan.learning_rate)
        history += fit_images(network, config, splits, stage, on_epoch, checkpoints)
        first_epoch = history[-1]["epoch"] + 1  # early stopping may have ended the stage
    return as_fitted(network, config, splits, history)


def keep_prefixes(network: keras.Model, config: RunConfig, splits: Splits, plans: list[StagePlan]) -> None:
    """Keeps the activations that the stages train on, the shallowest first: each deeper one continues from it.

    What an earlier stage changes is not known yet: its own stage computes that.
    """
    ends = list(accumulate(plan.epochs for plan in plans))
    for number in reversed(range(len(plans))):
        plan, earlier = plans[number], {layer for plan in plans[:number] for layer in plan.layers}
        if earlier <= set(plan.layers):
            _freeze(network, plan.layers)
            stage = Stage("in advance", range(ends[number] - plan.epochs, ends[number]), plan.learning_rate)
            on_activations(network, config, splits, stage, stage.epochs)


def freeze_all_but(network: keras.Model, train: list[str], layers: list[str]) -> None:
    """Makes the layers of `train`, with their normalisation, trainable and freezes all others; logs the table.

    A frozen batch normalisation neither learns nor moves its statistics.
    """
    _freeze(network, train)
    counts = {
        name: sum(layer.count_params() for layer in network.layers if block_of(layer.name) == name) for name in layers
    }
    table = "  ".join(f"{name}:{'trains' if name in train else 'frozen'}({counts[name]:,})" for name in layers)
    log.info("layers (parameters): %s", table)


def _freeze(network: keras.Model, train: list[str]) -> None:
    for layer in network.layers:
        layer.trainable = block_of(layer.name) in train
