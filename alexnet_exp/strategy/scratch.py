"""Training from scratch."""

from alexnet_exp.config.schema import RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.strategy.network import as_fitted, build_network, fit_images
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.course import Stage
from alexnet_exp.training.fit import OnEpoch


def scratch(
    config: RunConfig,
    splits: Splits,
    pretrained: Pretrained | None,
    on_epoch: OnEpoch,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Random initialisation; all layers train for `training.epochs`."""
    network = build_network(config, len(splits.class_names), pretrained)
    stage = Stage("scratch", range(config.training.epochs), config.optimizer.learning_rate)
    history = fit_images(network, config, splits, stage, on_epoch, checkpoints)
    return as_fitted(network, config, splits, history)
