"""Each strategy runs for real; frozen means frozen; what is saved gives the same predictions."""

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from alexnet_exp.checksums import write_sealed
from alexnet_exp.config import RunConfig
from alexnet_exp.data import Splits, load_splits
from alexnet_exp.errors import TrainingDiverged, WeightsError
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.weights import Pretrained, read_weights
from alexnet_exp.strategy import STRATEGIES, Fitted, load_fitted
from alexnet_exp.strategy.finetune import freeze_all_but
from tests.conftest import Compose

ONE_EPOCH = "epochs: 1, learning_rate: 0.1"
STAGES = f"strategy.stages=[{{layers: [head], {ONE_EPOCH}}},{{layers: [head, fc7], {ONE_EPOCH}}}]"
RBF = ("strategy.kernel=rbf", "strategy.scaling=sqrt_l2", "strategy.components=20")
PRETRAINED = ("weights=run", "weights.run_id=unused")


def splits_of(config: RunConfig, tmp_path: Path) -> Splits:
    return load_splits(config.dataset, config.model.input_size, tmp_path)


def pretrained(config: RunConfig, tmp_path: Path) -> Pretrained:
    keras.utils.set_random_seed(7)
    build_alexnet(config.model, 10).save(tmp_path / "network.keras")
    return read_weights(tmp_path / "network.keras")


def fitted(config: RunConfig, tmp_path: Path, epochs: list[int] | None = None) -> Fitted:
    weights = None if config.strategy.name == "scratch" else pretrained(config, tmp_path)
    keras.utils.set_random_seed(config.seed)
    seen = [] if epochs is None else epochs
    splits = splits_of(config, tmp_path)
    return STRATEGIES[config.strategy.name](config, splits, weights, lambda step, _: seen.append(step))


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        (["strategy=scratch"], [0]),
        (["strategy=finetune", STAGES, *PRETRAINED], [0, 1]),
        (["strategy=features_svm", "strategy.c=[0.001,0.1]", *PRETRAINED], [0, 1]),
        (["strategy=features_svm", "strategy.c=[1]", *RBF, *PRETRAINED], [0]),
        (["strategy=features_svm", "strategy.c=[1]", *RBF, "strategy.components=5000", *PRETRAINED], [0]),
        (["strategy=features_mlp", "strategy.units=8", "strategy.scaling=sqrt_l2", *PRETRAINED], [0]),
        (["training.loss=mean_squared_error", "optimizer=sgd", "evaluation.views=mirror"], [0]),
        (["augmentation=krizhevsky2012", "augmentation.load_size=36", "evaluation.views=ten_crop"], [0]),
    ],
    ids=["scratch", "finetune", "linear SVM", "RBF SVM", "all components", "MLP", "squared error", "ten crops"],
)
def test_a_strategy_fits_saves_and_loads(
    tiny: Compose, tmp_path: Path, overrides: list[str], epochs: list[int]
) -> None:
    config, seen = tiny(*overrides), []
    size = config.augmentation.load_size or config.model.input_size
    weights = None if config.strategy.name == "scratch" else pretrained(config, tmp_path)
    splits = load_splits(config.dataset, size, tmp_path)
    result = STRATEGIES[config.strategy.name](config, splits, weights, lambda step, _: seen.append(step))
    assert seen == epochs == [entry["epoch"] for entry in result.history]
    test = splits.test.subset(np.arange(40))
    probabilities = result.predict_proba(test, 16)
    assert probabilities.shape == (40, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    result.save(tmp_path / "fitted")
    again = load_fitted(tmp_path / "fitted").predict_proba(test, 16)
    np.testing.assert_allclose(again, probabilities, rtol=1e-5)  # a loaded matrix may lie in memory the other way round
    np.testing.assert_array_equal(again.argmax(axis=1), probabilities.argmax(axis=1))


def of_an_earlier_version(folder: Path) -> None:
    (folder / "fitted.json").unlink()
    write_sealed(folder / "fitted.json", {"views": "center", "load_size": 32})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "network.keras").write_bytes(b"another"), r"network\.keras: expected the SHA-256"),
        (lambda folder: (folder / "network.keras").unlink(), r"network\.keras: .*Received: no such file"),
        (lambda folder: (folder / "classifier.skops").write_bytes(b"x"), r"classifier\.skops: .*recorded, none"),
        (lambda folder: (folder / "fitted.json").write_text("{}"), r"fitted\.json: .*Received: 'settings'"),
        (of_an_earlier_version, r"fitted\.json: expected .*megapixels.*Received: load_size, views$"),
    ],
)
def test_what_was_changed_after_it_was_saved_is_refused(
    tiny: Compose, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    config = tiny()
    network = build_alexnet(config.model, 10)
    Fitted(network, None, "center", 32, "squash", 100.0, [str(digit) for digit in range(10)]).save(tmp_path / "fitted")
    assert load_fitted(tmp_path / "fitted").load_size == 32
    spoil(tmp_path / "fitted")
    with pytest.raises(WeightsError, match=words) as caught:
        load_fitted(tmp_path / "fitted")
    assert "\n" not in str(caught.value)


def test_frozen_layers_and_their_statistics_stay_bit_identical(tiny: Compose, tmp_path: Path) -> None:
    config = tiny("strategy=finetune", STAGES, *PRETRAINED)
    before = pretrained(config, tmp_path).values
    after = fitted(config, tmp_path).network
    for layer in after.layers:
        for variable in layer.variables:
            name = f"{layer.name}/{variable.name}"
            if name in before and layer.name not in ("fc7", "head"):
                np.testing.assert_array_equal(variable, before[name], err_msg=name)
    assert (np.asarray(after.get_layer("fc7").kernel) != before["fc7/kernel"]).any()


def test_each_stage_trains_its_own_layers(tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(network: keras.Model, *_: object) -> list:
        seen.append({layer.name for layer in network.layers if layer.trainable and layer.weights})
        return [{"epoch": len(seen) - 1, "stage": "s", "val/accuracy": 0.0}]

    monkeypatch.setattr(sys.modules["alexnet_exp.strategy.finetune"], "fit_images", spy)
    fitted(tiny("strategy=finetune", STAGES, *PRETRAINED), tmp_path)
    assert seen == [{"head"}, {"head", "fc7"}]


def test_the_svm_takes_the_c_with_the_best_val_accuracy(tiny: Compose, tmp_path: Path) -> None:
    result = fitted(tiny("strategy=features_svm", "strategy.c=[1,1e-9]", "strategy.kernel=rbf", *PRETRAINED), tmp_path)
    by_c = {entry["svm/c"]: entry["val/accuracy"] for entry in result.history}
    assert by_c[1] != by_c[1e-9]
    assert max(by_c, key=by_c.__getitem__) == result.classifier.named_steps["svm"].estimator.C
    assert result.val_accuracy == max(by_c.values())


def test_diverged_training_stops_in_the_first_epoch(tiny: Compose, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"optimizer\.learning_rate: .*epoch 1"):
        fitted(tiny("optimizer=sgd", "optimizer.learning_rate=1e20", "training.epochs=3"), tmp_path)


def test_saved_networks_have_no_optimizer_state(tiny: Compose, tmp_path: Path) -> None:
    fitted(tiny(), tmp_path).save(tmp_path / "fitted")
    network = keras.saving.load_model(tmp_path / "fitted" / "network.keras")
    size = (tmp_path / "fitted" / "network.keras").stat().st_size
    assert size < 1.5 * 4 * network.count_params() + 100_000
    assert not network.compiled


def test_unfreezing_conv1_moves_its_statistics(tiny: Compose, tmp_path: Path) -> None:
    stage = "strategy.stages=[{layers: [head, conv1], epochs: 1, learning_rate: 0.1}]"
    config = tiny("strategy=finetune", stage, *PRETRAINED)
    before = pretrained(config, tmp_path).values
    after = fitted(config, tmp_path).network
    assert (np.asarray(after.get_layer("conv1_norm").moving_mean) != before["conv1_norm/moving_mean"]).any()
    np.testing.assert_array_equal(after.get_layer("conv2_norm").moving_mean, before["conv2_norm/moving_mean"])


def test_the_freezing_table_covers_every_layer(tiny: Compose, caplog: pytest.LogCaptureFixture) -> None:
    config = tiny()
    network = build_alexnet(config.model, 10)
    caplog.set_level("INFO")
    freeze_all_but(network, ["head", "conv5"], config.model.layers)
    trainable = {layer.name for layer in network.layers if layer.trainable}
    assert trainable == {"conv5", "conv5_norm", "conv5_activation", "head"}
    assert "conv1:frozen" in caplog.text
    assert "conv5:trains" in caplog.text


def test_scratch_learns_the_digits(tmp_path: Path) -> None:
    from alexnet_exp.config.compose import compose_config

    config = compose_config(["training.epochs=2"])
    result = fitted(config, tmp_path)
    assert result.history[-1]["val/accuracy"] > 0.9


def test_restore_best_ends_with_the_best_epoch(tiny: Compose, tmp_path: Path) -> None:
    config = tiny(
        "training.epochs=6", "training.restore_best=true", "training.monitor=val/loss", "optimizer=sgd",
        "optimizer.learning_rate=0.5", "schedule=cosine", "schedule.warmup_epochs=5",  # learns, then is lost
    )  # fmt: skip
    result = fitted(config, tmp_path)
    splits = splits_of(config, tmp_path)
    probabilities = result.predict_proba(splits.val, 128)
    loss = -np.log(probabilities[np.arange(len(splits.val)), splits.val.labels]).mean()
    losses = [entry["val/loss"] for entry in result.history]
    assert loss == pytest.approx(min(losses), rel=1e-3)
    assert min(losses) < losses[-1]


def test_patience_stops_early(tiny: Compose, tmp_path: Path) -> None:
    config = tiny("training.epochs=30", "training.patience=1", "optimizer.learning_rate=1e-9")
    assert len(fitted(config, tmp_path).history) < 30
