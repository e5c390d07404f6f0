"""What is computed once: the activations of frozen layers in fine-tuning, the features of an SVM."""

import time
from collections.abc import Callable

import keras

from alexnet_exp.config import RunConfig
from alexnet_exp.config.schema import Finetune
from alexnet_exp.config.schema import Stage as Plan
from alexnet_exp.data import Splits
from alexnet_exp.strategy import STRATEGIES
from alexnet_exp.strategy.finetune import freeze_all_but, keep_prefixes
from alexnet_exp.strategy.network import build_network, fit_images
from alexnet_exp.training.activation_store import activation_store
from alexnet_exp.training.course import Stage
from alexnet_exp.training.precision import choose_precision
from benchmarks.inputs import composed, generated_splits
from benchmarks.rows import Measured, Setting
from benchmarks.steps import feed_of
from benchmarks.timing import seconds_of

CLASSES = 2
EPOCHS = 10  # of a published round
FINETUNE = (
    "strategy=finetune", "weights=run", "weights.run_id=unused", "model=alexnet_2012", "augmentation=flip",
    "optimizer=sgd", "optimizer.weight_decay=0", "schedule=constant", "training.batch_size=16",
    "training.loss=mean_squared_error", "training.precision=float32",
)  # fmt: skip


def all_rounds(setting: Setting) -> Measured:
    """Layer-wise fine-tuning of the head, then one more layer in each round, against plain Keras."""
    return _finetuning(setting, [1, 3, 8] if setting.quick else [1, 2, 3, 4, 5, 6, 7, 8], images=96)


def first_rounds(setting: Setting) -> Measured:
    """The rounds of the dense layers alone."""
    return _finetuning(setting, [1, 3] if setting.quick else [1, 2, 3], images=160)


def _finetuning(setting: Setting, rounds: list[int], images: int) -> Measured:
    """Ours and plain Keras' rounds in turns; each epoch is validated on 0.4 times as many images, as published.

    A round has 10 epochs. The first few are run, the others take as long as the last of them. What ours keeps in
    advance of all rounds counts as a part of the first.
    """
    images, epochs = (16, 2) if setting.quick else (images, 3)
    config = composed(setting.folder / f"finetuning{len(rounds)}", *FINETUNE)
    assert isinstance(config.strategy, Finetune)
    plans = [config.strategy.stages[number - 1] for number in rounds]
    choose_precision(config.training, config.model, setting.cache)
    splits = generated_splits(images, images * 2 // 5, 8, config.model.input_size, CLASSES)
    ours, plain = (build_network(config, CLASSES, None) for _ in range(2))
    feed = feed_of(config, splits, range(epochs))
    train, val = feed.train.cache(), feed.val.cache()
    for _ in train.concatenate(val):
        pass

    def one_round(plan: Plan) -> tuple[float, float]:
        for network in (ours, plain):
            freeze_all_but(network, plan.layers, config.model.layers)
        stage = Stage("round", range(epochs), plan.learning_rate)

        def fit_ours(on_epoch: Callable[[], None]) -> None:
            fit_images(ours, config, splits, stage, lambda *_: on_epoch())

        def fit_plain(on_epoch: Callable[[], None]) -> None:
            optimizer = keras.optimizers.SGD(plan.learning_rate, momentum=0.9, nesterov=True)
            plain.compile(optimizer, "mean_squared_error", metrics=["accuracy"])
            ended = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: on_epoch())
            fixed = {"steps_per_epoch": feed.steps, "shuffle": False, "verbose": 0}
            plain.fit(train, validation_data=val, epochs=epochs, callbacks=[ended], **fixed)

        return _seconds_of_round(fit_ours), _seconds_of_round(fit_plain)

    advance = seconds_of(lambda: keep_prefixes(ours, config, splits, plans))
    seconds = [one_round(plan) for plan in plans]
    seconds[0] = (seconds[0][0] + advance, seconds[0][1])
    first, second = (sum(pair[side] for pair in seconds) for side in (0, 1))
    each = ", ".join(f"{number}: {pair[0] / pair[1]:.2f}" for number, pair in zip(rounds, seconds, strict=True))
    details = f"{first:.0f} against {second:.0f} s (rounds {each}; {advance:.0f} s in advance)"
    extrapolated = f"{EPOCHS} epochs a round, extrapolated from {epochs}"
    return Measured(first / second, f"{details}, {images} images, {extrapolated}, float32")


def _seconds_of_round(fit_some: Callable[[Callable[[], None]], None]) -> float:
    """Of a round of `EPOCHS` epochs, from a fit of fewer that calls a function at the end of each."""
    ends: list[float] = []
    seconds = seconds_of(lambda: fit_some(lambda: ends.append(time.perf_counter())))
    return seconds + (EPOCHS - len(ends)) * (ends[-1] - ends[0]) / (len(ends) - 1)


def second_svm(setting: Setting) -> Measured:
    """Seconds of a second setting of the SVM, training and predicting, against the first one on the same images."""
    images = 200 if setting.quick else 2000
    splits = generated_splits(images * 7 // 10, images * 3 // 20, images * 3 // 20, 227, CLASSES)
    first, second = (
        composed(
            setting.folder, "strategy=features_svm", "model=alexnet", "strategy.kernel=linear", f"strategy.c=[{c}]"
        )
        for c in (0.001, 0.01)
    )
    choose_precision(first.training, first.model, setting.cache)
    extracted, again = _svm_seconds(first, splits), _svm_seconds(second, splits)
    return Measured(again / extracted, f"{again:.2f} against {extracted:.2f} s, {images} images, pool5, linear")


def _svm_seconds(config: RunConfig, splits: Splits) -> float:
    def fit_and_predict() -> None:
        keras.utils.set_random_seed(config.seed)
        fitted = STRATEGIES["features_svm"](config, splits, None, lambda *_: None, None)
        store = activation_store(config.cache, config.paths)
        fitted.predict_proba(splits.test, config.evaluation.batch_size, store)

    return seconds_of(fit_and_predict)
