"""Training from scratch."""

from alexnet_exp.config.schema import RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.strategy.network import fit_images, fitted_network, pretrained_network
from alexnet_exp.training.fit import OnEpoch, Stage


def scratch(config: RunConfig, splits: Splits, pretrained: Pretrained | None, on_epoch: OnEpoch) -> Fitted:
    """Random initialisation; all layers train for `training.epochs`."""
    network = pretrained_network(config, len(splits.class_names), pretrained)
    stage = Stage("scratch", range(config.training.epochs), config.optimizer.learning_rate)
    return fitted_network(network, config, splits, fit_images(network, config, splits, stage, on_epoch))
