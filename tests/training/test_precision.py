"""The precision that is asked for is computed in; `auto` measures, once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from alexnet_exp.data import load_splits
from alexnet_exp.model import build_alexnet
from alexnet_exp.strategy import STRATEGIES
from alexnet_exp.training import precision
from alexnet_exp.training.precision import choose_precision
from tests.conftest import Compose


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_logits_statistics_and_weights_in_float32(
    tiny: Compose, tmp_path: Path, dtype: str
) -> None:
    config = tiny(f"training.precision={dtype}", "model.norm.kind=batch", "model.norm.layers=[conv1]", "optimizer=sgd")
    assert choose_precision(config.training, config.model, tmp_path) == dtype
    network = build_alexnet(config.model, 10)
    assert network.get_layer("conv2").compute_dtype == dtype
    assert network.get_layer("head").compute_dtype == network.get_layer("probabilities").compute_dtype == "float32"
    assert {variable.dtype for variable in network.variables if "seed" not in variable.path} == {"float32"}
    splits = load_splits(config.dataset, 32, tmp_path)
    keras.utils.set_random_seed(0)
    fitted = STRATEGIES["scratch"](config, splits, None, lambda *_: None)
    assert fitted.history[0]["train/loss"] < 3
    probabilities = fitted.predict_proba(splits.val, 64)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_auto_is_float32_where_the_processor_does_not_multiply_bfloat16(
    tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: False)
    config = tiny("training.precision=auto")
    assert choose_precision(config.training, config.model, tmp_path) == "float32"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("ratio", "expected"), [(1.5, "bfloat16"), (1.01, "float32"), (0.8, "float32")])
def test_auto_takes_what_the_probe_found_faster_and_remembers_it(
    tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ratio: float, expected: str
) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_probe", lambda *_: {"float32": ratio, "bfloat16": 1.0})
    config = tiny("training.precision=auto")
    assert choose_precision(config.training, config.model, tmp_path) == expected
    monkeypatch.setattr(precision, "_probe", lambda *_: pytest.fail("probed again"))
    assert choose_precision(config.training, config.model, tmp_path) == expected
    assert keras.config.dtype_policy().name == precision.POLICIES[expected]


def test_what_was_kept_and_is_damaged_is_measured_again(
    tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "_multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_probe", lambda *_: {"float32": 2.0, "bfloat16": 1.0})
    config = tiny("training.precision=auto")
    choose_precision(config.training, config.model, tmp_path)
    (answers,) = tmp_path.rglob("*.json")
    whole = answers.read_text()
    for damaged in ("", whole[:10], '{"float32": 0}'):
        answers.write_text(damaged)
        assert choose_precision(config.training, config.model, tmp_path) == "bfloat16"
        assert answers.read_text() == whole
    assert choose_precision(config.training, config.model, answers / "cache") == "bfloat16"
    assert "not kept" in caplog.text


def test_the_probe_times_both_precisions(tiny: Compose, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        seconds = precision._probe(tiny().model, 8)
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < value < 10 for value in seconds.values())
