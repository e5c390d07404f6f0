"""What the strategies have in common: the network they start from, and what they end with."""

from typing import Any

import keras

from alexnet_exp.config.schema import FeaturesSvm, NoWeights, RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.data.batches import image_feed
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.weights import Pretrained, adapt_model, load_weights
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.training.fit import OnEpoch, Stage, fit


def build_network(config: RunConfig, classes: int, pretrained: Pretrained | None) -> keras.Model:
    """The network, with its pretrained layers and the preprocessing that they were trained with."""
    if pretrained is None or isinstance(config.weights, NoWeights):
        return build_alexnet(config.model, classes)
    network = build_alexnet(adapt_model(config.model, pretrained), classes)
    load_weights(network, pretrained, config.weights.fresh)
    return network


def fit_images(
    network: keras.Model, config: RunConfig, splits: Splits, stage: Stage, on_epoch: OnEpoch
) -> list[dict[str, Any]]:
    """Trains one stage on the images of `splits.train`."""
    feed = image_feed(
        splits,
        config.augmentation,
        config.model.input_size,
        config.training.batch_size,
        config.evaluation.batch_size,
        config.seed,
        stage.epochs,
    )
    return fit(network, feed, stage, config.training, config.optimizer, config.schedule, on_epoch)


def as_fitted(
    network: keras.Model, config: RunConfig, splits: Splits, history: list[dict[str, Any]], classifier: Any = None
) -> Fitted:
    """A trained network (with a classifier on its features) as the result of a strategy."""
    views, load_size = config.evaluation.views, config.augmentation.load_size or config.model.input_size
    return Fitted(network, classifier, views, load_size, splits.class_names, history, _kept(config, history))


def _kept(config: RunConfig, history: list[dict[str, Any]]) -> int:
    """The index of the epoch (or setting) that the result of a strategy has the weights of."""
    last_stage = [index for index, entry in enumerate(history) if entry["stage"] == history[-1]["stage"]]
    if isinstance(config.strategy, FeaturesSvm):
        return max(last_stage, key=lambda index: (history[index]["val/accuracy"], history[index]["train/accuracy"]))
    if not config.training.restore_best:
        return last_stage[-1]
    sign = 1 if config.training.monitor == "val/accuracy" else -1
    return max(last_stage, key=lambda index: sign * history[index][config.training.monitor])
