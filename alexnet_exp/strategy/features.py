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
from alexnet_exp.data import ImageSet, Splits
from alexnet_exp.data.batches import array_feed
from alexnet_exp.model.alexnet import cut_network
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.fitted import Fitted
from alexnet_exp.strategy.linear_svm import carry_back, compact_rows
from alexnet_exp.strategy.network import as_fitted, build_network
from alexnet_exp.training.activation_store import activation_store
from alexnet_exp.training.activations import outputs
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
    parts = [splits.train, splits.val]
    extractor, (train, val) = _extract(config, splits, pretrained, strategy, parts)
    labels = (splits.train.labels, splits.val.labels)
    scaling = _scaling(strategy, config.seed, min(train.shape)).fit(train)
    scaled = (scaling.transform(train), scaling.transform(val))
    learned = _learned(strategy, scaled[0])
    history: list[dict[str, Any]] = []
    best, best_accuracies = None, (-1.0, -1.0)
    for step, c in enumerate(sorted(strategy.c)):
        machine = _machine(strategy, c, config.seed, dual=learned is not scaled[0]).fit(learned, labels[0])
        carry_back(machine, learned, scaled[0])
        accuracies = machine.score(scaled[1], labels[1]), machine.score(scaled[0], labels[0])
        metrics: Metrics = {"svm/c": c, "train/accuracy": accuracies[1], "val/accuracy": accuracies[0]}
        log.info("C %.3g  accuracy %.4f  val accuracy %.4f", c, metrics["train/accuracy"], metrics["val/accuracy"])
        on_epoch(step, metrics)
        history.append({"epoch": step, "stage": "C"} | metrics)
        if accuracies > best_accuracies:
            best, best_accuracies = machine, accuracies
    scaling = clone(scaling)
    both = scaling.fit_transform(np.concatenate([train, val]))
    classifier = Pipeline([*scaling.steps, ("svm", _calibrated(strategy, best, both, np.concatenate(labels)))])
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
    parts = [splits.train, splits.val, *([splits.test] if config.evaluation.test_each_epoch else [])]
    extractor, (train, *held_out) = _extract(config, splits, pretrained, strategy, parts)
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
        held_out,
        [part.labels for part in parts],
        classes,
        config.training.batch_size,
        config.evaluation.batch_size,
        config.seed,
        course.epochs,
    )
    history = fit(head, feed, stage, config.training, config.optimizer, config.schedule, on_epoch, course)
    return as_fitted(extractor, config, splits, history, head)


def _extract(
    config: RunConfig,
    splits: Splits,
    pretrained: Pretrained | None,
    strategy: FeaturesSvm | FeaturesMlp,
    parts: list[ImageSet],
) -> tuple[keras.Model, list[np.ndarray]]:
    """The cut network, and the features of some parts, of which the first is train."""
    if pretrained is None:
        log.warning("features of a random network: weights=file or weights=run brings pretrained layers")
    network = build_network(config, len(splits.class_names), pretrained, strategy.cut)
    extractor = cut_network(network, strategy.cut, strategy.crops)
    views, batch_size = config.evaluation.views, config.evaluation.batch_size
    store = activation_store(config.cache, config.paths)
    features = [outputs(extractor, part, views, batch_size, store) for part in parts]
    log.info("%d features of %s images", features[0].shape[1], " + ".join(str(len(part)) for part in parts))
    return extractor, features


def _scaling(strategy: FeaturesSvm, seed: int, rank: int) -> Pipeline:
    """Scales the features; `sqrt_l2` is the Hellinger kernel of Perronnin, Sanchez and Mensink 2010, section 3.1.

    Args:
      strategy: what to do.
      seed: of the search for principal components.
      rank: how many components there are at the most.
    """
    steps: list[Any] = {
        "none": [],
        "standardize": [StandardScaler()],
        "sqrt_l2": [FunctionTransformer(np.sqrt), Normalizer()],
    }[strategy.scaling]
    if strategy.components is not None:
        steps.append(PCA(min(strategy.components, rank), svd_solver="randomized", random_state=seed))
    return make_pipeline(*(steps or ["passthrough"]))


def _learned(strategy: FeaturesSvm, rows: np.ndarray) -> np.ndarray:
    """What the machine is fitted to in place of the scaled features."""
    return compact_rows(rows) if strategy.kernel == "linear" else rows


def _machine(strategy: FeaturesSvm, c: float, seed: int, dual: bool) -> LinearSVC | SVC:
    if strategy.kernel == "linear":
        return LinearSVC(C=c, dual=dual, random_state=seed, max_iter=5000)
    return SVC(C=c, kernel="rbf", break_ties=True, random_state=seed)


def _calibrated(
    strategy: FeaturesSvm, machine: LinearSVC | SVC, rows: np.ndarray, labels: np.ndarray
) -> CalibratedClassifierCV:
    """A machine with the same settings, fitted to all rows; the temperature is that of its predictions in folds."""
    learned = _learned(strategy, rows)
    folds = min(CALIBRATION_FOLDS, int(np.bincount(labels).min()))
    calibrated = CalibratedClassifierCV(clone(machine), method="temperature", cv=folds, ensemble=False)
    carry_back(calibrated.fit(learned, labels).calibrated_classifiers_[0].estimator, learned, rows)
    calibrated.n_features_in_ = rows.shape[1]
    return calibrated


def _mlp(features: np.ndarray, classes: int, strategy: FeaturesMlp) -> keras.Model:
    inputs = x = keras.Input((features.shape[1],), name="features")
    if strategy.scaling == "standardize":
        standardize = keras.layers.Normalization(name="standardize")
        standardize.adapt(features)
        x = standardize(x)
    elif strategy.scaling == "sqrt_l2":
        positive = keras.ops.maximum(x, keras.config.epsilon() ** 2)  # the gradient of the root is infinite at 0
        x = keras.layers.UnitNormalization(name="unit_length")(keras.ops.sqrt(positive))
        x = keras.layers.Rescaling(math.sqrt(features.shape[1]), name="unit_scale")(x)
    x = keras.layers.Dropout(strategy.input_dropout, name="features_dropout")(x)
    x = keras.layers.Dense(strategy.units, "relu", kernel_initializer="he_normal", name="hidden")(x)
    x = keras.layers.Dropout(strategy.dropout, name="hidden_dropout")(x)
    x = keras.layers.Dense(classes, name="head")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(x), name="mlp")
