"""What the strategies have in common: the network they start from, and what they end with."""

import logging
from typing import Any

import keras

from alexnet_exp.config.schema import FeaturesSvm, NoWeights, RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.data.batches import Feed, array_feed, image_feed
from alexnet_exp.data.views import training_views
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.alexnet import frozen_prefix, split_network, up_to
from alexnet_exp.model.weights import Pretrained, load_weights
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.training.activation_store import activation_store
from alexnet_exp.training.activations import kept_outputs
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.course import Course, Stage
from alexnet_exp.training.fit import OnEpoch, fit

log = logging.getLogger(__name__)


def build_network(
    config: RunConfig, classes: int, pretrained: Pretrained | None, cut: str | None = None
) -> keras.Model:
    """The network, with its pretrained layers. `config.model` has their constants already (`adapt_model`).

    Args:
      cut: leaves out the hidden layers after it, which hold most of the weights.
    """
    model = config.model if cut is None else up_to(config.model, cut)
    if pretrained is None or isinstance(config.weights, NoWeights):
        return build_alexnet(model, classes)
    unused = [] if cut is None else [*(config.model.dense.keys() - model.dense.keys()), "head"]
    network = build_alexnet(model, classes)
    load_weights(network, pretrained, [*config.weights.fresh, *unused])
    return network


def fit_images(
    network: keras.Model,
    config: RunConfig,
    splits: Splits,
    stage: Stage,
    on_epoch: OnEpoch,
    checkpoints: Checkpoints | None = None,
) -> list[dict[str, Any]]:
    """Trains what is left of one stage on the training images; where it can, from the activations of the frozen layers.

    The course of training is the same either way, but for the rounding of what is kept.
    """
    course = Course(stage, network, config.training, checkpoints)
    if course.ended:
        return course.history
    found = on_activations(network, config, splits, stage, course.epochs)
    if isinstance(found, str):
        log.warning("%s trains from pixels: %s", stage.name, found)
    trained, feed = found if isinstance(found, tuple) else (network, _on_pixels(config, splits, course.epochs))
    return fit(trained, feed, stage, config.training, config.optimizer, config.schedule, on_epoch, course)


def _on_pixels(config: RunConfig, splits: Splits, epochs: range) -> Feed:
    return image_feed(
        splits,
        config.augmentation,
        config.model.input_size,
        config.training.batch_size,
        config.evaluation.batch_size,
        config.seed,
        epochs,
        config.evaluation.test_each_epoch,
    )


def on_activations(
    network: keras.Model, config: RunConfig, splits: Splits, stage: Stage, epochs: range
) -> tuple[keras.Model, Feed] | str | None:
    """What trains in this stage, and the activations of the frozen layers before it, computed where they are not kept.

    That is settled for the stage as a whole, whichever `epochs` of it are left.

    Returns:
      Why they cannot be kept, in words; None where nothing with weights is frozen.
    """
    depth = frozen_prefix(network)
    if not any(layer.weights for layer in network.layers[:depth]):
        return None
    size, store = config.model.input_size, activation_store(config.cache, config.paths)
    prefix, suffix = split_network(network, depth)
    views = training_views(config.augmentation, size, config.seed, stage.epochs)
    if views is None or len(views) > len(stage.epochs):
        return "too many views (augmentation.views repeats random draws)"
    if not store.has_room((len(splits.train), *prefix.output_shape[1:]), len(views) + 1):
        return "its activations are larger than cache.max_gb"
    batch_size = config.evaluation.batch_size
    train = kept_outputs(prefix, splits.train, views, batch_size, store)
    parts = [splits.val, splits.test] if config.evaluation.test_each_epoch else [splits.val]
    held_out = [kept_outputs(prefix, part, ["center"], batch_size, store) or [] for part in parts]
    if train is None or not all(held_out):
        return "its activations cannot be written"
    log.info("%s: %d views of the activations of %s", stage.name, len(views), network.layers[depth - 1].name)
    feed = array_feed(
        train,
        views,
        [center for (center,) in held_out],
        [splits.train.labels, *(part.labels for part in parts)],
        len(splits.class_names),
        config.training.batch_size,
        batch_size,
        config.seed,
        epochs,
        config.augmentation.views,
    )
    return suffix, feed


def as_fitted(
    network: keras.Model, config: RunConfig, splits: Splits, history: list[dict[str, Any]], classifier: Any = None
) -> Fitted:
    """A trained network (with a classifier on its features) as the result of a strategy."""
    return Fitted(
        network=network,
        classifier=classifier,
        views=config.evaluation.views,
        load_size=config.augmentation.load_size or config.model.input_size,
        resize=config.dataset.resize,
        megapixels=config.dataset.limits.megapixels,
        class_names=splits.class_names,
        history=history,
        kept=_kept(config, history),
    )


def _kept(config: RunConfig, history: list[dict[str, Any]]) -> int:
    """The index of the epoch (or setting) that the result of a strategy has the weights of."""
    last_stage = [index for index, entry in enumerate(history) if entry["stage"] == history[-1]["stage"]]
    if isinstance(config.strategy, FeaturesSvm):
        return max(last_stage, key=lambda index: (history[index]["val/accuracy"], history[index]["train/accuracy"]))
    if not config.training.restore_best:
        return last_stage[-1]
    sign = 1 if config.training.monitor == "val/accuracy" else -1
    return max(last_stage, key=lambda index: sign * history[index][config.training.monitor])
