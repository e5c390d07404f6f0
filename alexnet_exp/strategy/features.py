"""Feature extraction: the pretrained network is cut at a layer, a small classifier learns on its activations."""

import logging
import math
from typing import Any

import keras
import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from alexnet_exp.config.schema import FeaturesMlp, FeaturesSvm, RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.data.batches import array_feed
from alexnet_exp.model.alexnet import cut_network
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.strategy.network import as_fitted, build_network
from alexnet_exp.training.activations import activation_store, outputs
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.course import Course, Stage
from alexnet_exp.training.fit import Metrics, OnEpoch, fit

log = logging.getLogger(__name__)
CALIBRATION_FOLDS = 5


def features_svm(
    config: RunConfig,
    splits: Splits,
    pretrained: Pretrained | None,
    on_epoch: OnEpoch,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """A support vector machine on the features.

    `C` is the one with the best accuracy on val; on a tie, on train; then the smallest. The final machine learns on
    train and val. Its probabilities are calibrated by a temperature, which leaves its predictions as they are.

    It has no checkpoints: the features, which take the time, are kept by the store of activations.
    """
    assert isinstance(config.strategy, FeaturesSvm)
    strategy = config.strategy
    extractor, train, val = _extract(config, splits, pretrained, strategy)
    labels = (splits.train.labels, splits.val.labels)
    scaling = _scaling(strategy, config.seed).fit(train)
    scaled = (scaling.transform(train), scaling.transform(val))
    history: list[dict[str, Any]] = []
    best, best_accuracies = None, (-1.0, -1.0)
    for step, c in enumerate(sorted(strategy.c)):
        machine = _machine(strategy, c, config.seed).fit(scaled[0], labels[0])
        accuracies = machine.score(scaled[1], labels[1]), machine.score(scaled[0], labels[0])
        metrics: Metrics = {"svm/c": c, "train/accuracy": accuracies[1], "val/accuracy": accuracies[0]}
        log.info("C %.3g  accuracy %.4f  val accuracy %.4f", c, metrics["train/accuracy"], metrics["val/accuracy"])
        on_epoch(step, metrics)
        history.append({"epoch": step, "stage": "C"} | metrics)
        if accuracies > best_accuracies:
            best, best_accuracies = machine, accuracies
    both = np.concatenate(labels)
    folds = min(CALIBRATION_FOLDS, int(np.bincount(both).min()))
    calibrated = CalibratedClassifierCV(clone(best), method="temperature", cv=folds, ensemble=False)
    classifier = Pipeline([*clone(scaling).steps, ("svm", calibrated)]).fit(np.concatenate([train, val]), both)
    return as_fitted(extractor, config, splits, history, classifier)


def features_mlp(
    config: RunConfig,
    splits: Splits,
    pretrained: Pretrained | None,
    on_epoch: OnEpoch,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """One hidden layer with dropout and a softmax on the features."""
    strategy = config.strategy
    assert isinstance(strategy, FeaturesMlp)
    extractor, train, val = _extract(config, splits, pretrained, strategy)
    classes = len(splits.class_names)
    keras.config.set_dtype_policy("float32")  # a small head gains nothing from less
    head = _mlp(train, classes, strategy)
    stage = Stage("features_mlp", range(strategy.epochs), config.optimizer.learning_rate)
    course = Course(stage, head, config.training, checkpoints)
    if course.ended:
        return as_fitted(extractor, config, splits, course.history, head)
    feed = array_feed(
        [train],
        ["center"],
        val,
        (splits.train.labels, splits.val.labels),
        classes,
        config.training.batch_size,
        config.evaluation.batch_size,
        config.seed,
        course.epochs,
    )
    history = fit(head, feed, stage, config.training, config.optimizer, config.schedule, on_epoch, course)
    return as_fitted(extractor, config, splits, history, head)


def _extract(
    config: RunConfig, splits: Splits, pretrained: Pretrained | None, strategy: FeaturesSvm | FeaturesMlp
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """The cut network, and the features of train and val."""
    if pretrained is None:
        log.warning("features of a random network: weights=file or weights=run brings pretrained layers")
    extractor = cut_network(build_network(config, len(splits.class_names), pretrained), strategy.cut, strategy.crops)
    views, batch_size = config.evaluation.views, config.evaluation.batch_size
    store = activation_store(config.cache, config.paths)
    train, val = (outputs(extractor, part, views, batch_size, store) for part in (splits.train, splits.val))
    log.info("%d features of %d + %d images", train.shape[1], len(train), len(val))
    return extractor, train, val


def _scaling(strategy: FeaturesSvm, seed: int) -> Pipeline:
    """Scales the features; `sqrt_l2` is the Hellinger kernel of Perronnin, Sanchez and Mensink 2010, section 3.1."""
    steps: list[Any] = {
        "none": [],
        "standardize": [StandardScaler()],
        "sqrt_l2": [FunctionTransformer(np.sqrt), Normalizer()],
    }[strategy.scaling]
    if strategy.components is not None:
        steps.append(PCA(strategy.components, svd_solver="randomized", random_state=seed))
    return make_pipeline(*(steps or ["passthrough"]))


def _machine(strategy: FeaturesSvm, c: float, seed: int) -> LinearSVC | SVC:
    if strategy.kernel == "linear":
        return LinearSVC(C=c, random_state=seed, max_iter=5000)
    return SVC(C=c, kernel="rbf", break_ties=True, random_state=seed)


def _mlp(features: np.ndarray, classes: int, strategy: FeaturesMlp) -> keras.Model:
    inputs = x = keras.Input((features.shape[1],), name="features")
    if strategy.scaling == "standardize":
        standardize = keras.layers.Normalization(name="standardize")
        standardize.adapt(features)
        x = standardize(x)
    elif strategy.scaling == "sqrt_l2":
        x = keras.layers.UnitNormalization(name="unit_length")(keras.ops.sqrt(x))
        x = keras.layers.Rescaling(math.sqrt(features.shape[1]), name="unit_scale")(x)
    x = keras.layers.Dropout(strategy.input_dropout, name="features_dropout")(x)
    x = keras.layers.Dense(strategy.units, "relu", kernel_initializer="he_normal", name="hidden")(x)
    x = keras.layers.Dropout(strategy.dropout, name="hidden_dropout")(x)
    x = keras.layers.Dense(classes, name="head")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(x), name="mlp")
