"""Training from kept activations is the same training; what is kept survives damage, concurrency and a full disk."""

import errno
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from alexnet_exp.config import RunConfig
from alexnet_exp.data import load_splits
from alexnet_exp.model import build_alexnet
from alexnet_exp.model.alexnet import frozen_prefix, split_network
from alexnet_exp.model.weights import Pretrained, read_weights
from alexnet_exp.strategy import STRATEGIES, Fitted
from alexnet_exp.training import activations
from alexnet_exp.training.activation_store import ActivationStore, activation_store
from alexnet_exp.training.activations import kept_outputs
from tests.conftest import Compose

STAGES = (
    "strategy.stages=[{layers: [head], epochs: 2, learning_rate: 0.01},"
    "{layers: [head, fc7, fc6, conv5, conv4], epochs: 3, learning_rate: 0.005}]"
)
FINETUNE = ("strategy=finetune", STAGES, "optimizer=sgd", "weights=run", "weights.run_id=unused", "cache.dtype=float32")


def pretrained(config: RunConfig, folder: Path) -> Pretrained:
    keras.utils.set_random_seed(7)
    build_alexnet(config.model, 10).save(folder / "network.keras")
    return read_weights(folder / "network.keras")


def finetuned(config: RunConfig, folder: Path) -> Fitted:
    weights = pretrained(config, folder)
    keras.utils.set_random_seed(config.seed)
    size = config.augmentation.load_size or config.model.input_size
    return STRATEGIES["finetune"](config, load_splits(config.dataset, size, folder), weights, lambda *_: None)


@pytest.mark.parametrize(
    ("augmentation", "views"),
    [
        ([], {"center"}),
        (["augmentation=flip"], {"center", "center mirrored"}),
        (["augmentation=flip", "augmentation.views=1"], {"center", "center mirrored"}),
        (["augmentation=krizhevsky2012", "augmentation.load_size=36", "augmentation.views=2"], {"draws 0", "draws 1"}),
    ],
    ids=["no augmentation", "mirror images", "the same mirror images in each epoch", "random draws"],
)
def test_training_from_kept_activations_takes_the_same_course(
    tiny: Compose, tmp_path: Path, augmentation: list[str], views: set[str]
) -> None:
    settings = [*FINETUNE, *augmentation]
    plain, kept = (
        finetuned(tiny(*settings, f"cache.max_gb={gigabytes}"), tmp_path).history for gigabytes in (0.0, 1.0)
    )
    for metric in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        np.testing.assert_allclose(
            [entry[metric] for entry in kept], [entry[metric] for entry in plain], rtol=2e-4, err_msg=metric
        )
    titles = {entry.title.split(", ")[1] for entry in activation_store_of(tmp_path).entries()}
    assert views <= titles


def activation_store_of(folder: Path) -> ActivationStore:
    return ActivationStore(folder / "cache" / "activations", 1.0, "float32")


def test_draws_that_never_repeat_train_from_pixels(
    tiny: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        finetuned(tiny(*FINETUNE, "augmentation=shear_zoom_flip"), tmp_path)
    assert "stage 1/2 trains from pixels" in caplog.text
    assert not activation_store_of(tmp_path).entries()


def test_too_little_room_is_said_and_trains_from_pixels(
    tiny: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finetuned(tiny(*FINETUNE, "cache.max_gb=0.0001"), tmp_path)
    assert "larger than cache.max_gb" in caplog.text


def test_a_prefix_ends_before_what_trains_or_is_random(tiny: Compose) -> None:
    model = tiny("model.dropout.rates={fc6: 0.5}").model
    network = build_alexnet(model, 10)
    assert network.layers[frozen_prefix(network) - 1].name == "preprocess"
    network.trainable = False
    assert network.layers[frozen_prefix(network)].name == "fc6_dropout"
    network.get_layer("conv4").trainable = True
    prefix, suffix = split_network(network, frozen_prefix(network))
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(suffix(prefix(images)), network(images), rtol=1e-5)
    assert suffix.get_layer("conv4") is network.get_layer("conv4")


def test_features_are_extracted_once(tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    compute = activations._computed
    monkeypatch.setattr(activations, "_computed", lambda *args: computed.append(args[2]) or compute(*args))
    settings = ("strategy=features_svm", "weights=run", "weights.run_id=unused", "evaluation.views=mirror")
    config = tiny(*settings)
    weights, splits = pretrained(config, tmp_path), load_splits(config.dataset, 32, tmp_path)
    results = []
    for c in (0.1, 1.0):
        setting = tiny(*settings, f"strategy.c=[{c}]")
        fitted = STRATEGIES["features_svm"](setting, splits, weights, lambda *_: None)
        results.append(fitted.predict_proba(splits.test, 64, activation_store(setting.cache, setting.paths)))
    assert computed == ["center", "center mirrored"] * 3  # of train, val and test, in the first run alone
    assert np.abs(results[0] - results[1]).max() > 1e-4


def test_an_image_passes_the_frozen_layers_of_all_stages_once(
    tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    compute = activations._computed
    monkeypatch.setattr(activations, "_computed", lambda *args: computed.append(args[0].name) or compute(*args))
    stages = ",".join(f"{{layers: [{layers}], epochs: 1, learning_rate: 0.05}}" for layers in (
        "head", "head, fc7", "head, fc7, fc6", "head, fc7, fc6, conv5"
    ))  # fmt: skip
    finetuned(tiny(*FINETUNE, f"strategy.stages=[{stages}]"), tmp_path)
    assert len(computed) == 2  # of train and val


def test_a_deeper_cut_continues_from_an_earlier_one(
    tiny: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny()
    network, images = build_alexnet(config.model, 10), load_splits(config.dataset, 32, tmp_path).val
    network.trainable = False
    shallow, deep = (split_network(network, depth)[0] for depth in (6, 12))
    expected = deep.predict_on_batch(images.take(slice(None)))
    store = ActivationStore(tmp_path / "store", 1.0, "float32")
    kept_outputs(shallow, images, ["center"], 64, store)
    with caplog.at_level(logging.INFO):
        (found,) = kept_outputs(deep, images, ["center"], 64, store)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert f"from the activations of {network.layers[5].name}" in caplog.text


def test_other_weights_images_or_views_are_other_activations(tiny: Compose, tmp_path: Path) -> None:
    config = tiny()
    network, images = build_alexnet(config.model, 10), load_splits(config.dataset, 32, tmp_path).val
    prefix = split_network(network, 6)[0]
    store = ActivationStore(tmp_path / "store", 1.0, "float16")
    kept_outputs(prefix, images, ["center"], 64, store)
    kept_outputs(prefix, images, ["center"], 32, store)
    assert len(store.entries()) == 1
    kept_outputs(prefix, images, ["center mirrored"], 64, store)
    kept_outputs(prefix, images.subset(np.arange(10)), ["center"], 64, store)
    network.get_layer("conv1").kernel.assign(network.get_layer("conv1").kernel * 1.01)
    (changed,) = kept_outputs(prefix, images, ["center"], 64, store)
    assert len(store.entries()) == 4
    np.testing.assert_allclose(changed, prefix.predict_on_batch(images.take(slice(None))), rtol=2e-3, atol=1e-3)


ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def pieces() -> Iterator[np.ndarray]:
    yield ROWS[:3]
    yield ROWS[3:]


def refuse() -> Iterator[np.ndarray]:
    raise AssertionError("computed again")


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "no meta", "meta is not JSON"])
def test_a_damaged_array_is_computed_again(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, 1.0, "float16")
    np.testing.assert_array_equal(store.get("key", "rows", (4, 3), pieces), ROWS)
    np.testing.assert_array_equal(store.get("key", "rows", (4, 3), refuse), ROWS)
    data, meta = tmp_path / "key" / "data.bin", tmp_path / "key" / "meta.json"
    content = bytearray(data.read_bytes())
    if damage == "truncated":
        data.write_bytes(content[:-1])
    elif damage == "flipped bit":
        content[5] ^= 1
        data.write_bytes(content)
    elif damage == "no meta":
        meta.unlink()
    else:
        meta.write_text("{")
    np.testing.assert_array_equal(store.get("key", "rows", (4, 3), pieces), ROWS)
    assert ("damaged" in caplog.text) == (damage != "no meta")


def test_the_least_recently_used_makes_room(tmp_path: Path) -> None:
    store = ActivationStore(tmp_path, 60e-9, "float16")  # two arrays of 24 bytes
    for key in ("a", "b"):
        store.get(key, key, (4, 3), pieces)
        os.utime(tmp_path / key, (1.0, 1.0 + (key == "b")))
    store.get("a", "a", (4, 3), refuse)
    store.get("c", "c", (4, 3), pieces)
    assert [entry.key for entry in store.entries()] == ["a", "c"]
    assert store.has_room((4, 3), 2)
    assert not store.has_room((4, 3), 3)
    store.clear()
    assert not store.entries()


def test_an_array_is_kept_where_space_cannot_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    np.testing.assert_array_equal(ActivationStore(tmp_path, 1.0, "float16").get("k", "k", (4, 3), pieces), ROWS)


def test_large_values_stay_finite_in_half_precision(tmp_path: Path) -> None:
    found = ActivationStore(tmp_path, 1.0, "float16").get("k", "k", (1, 2), lambda: iter([np.float32([[1e6, -1e6]])]))
    np.testing.assert_array_equal(found, np.float16([[65504, -65504]]))


def test_a_full_disk_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert ActivationStore(tmp_path, 1.0, "float16").get("key", "rows", (4, 3), pieces) is None
    assert "No space left" in caplog.text
    assert not list(tmp_path.glob("key*/*"))


def slowly() -> Iterator[np.ndarray]:
    time.sleep(0.5)
    with Path("computed").open("a") as log:
        log.write("x")
    yield ROWS


def get_slowly(folder: str) -> None:
    os.chdir(folder)
    np.testing.assert_array_equal(ActivationStore(Path(), 1.0, "float16").get("key", "k", (4, 3), slowly), ROWS)


def hang() -> Iterator[np.ndarray]:
    yield ROWS[:2]
    time.sleep(60)


def get_forever(folder: str) -> None:
    ActivationStore(Path(folder), 1.0, "float16").get("key", "k", (4, 3), hang)


def test_two_jobs_that_need_the_same_compute_it_once(tmp_path: Path) -> None:
    jobs = [multiprocessing.get_context("fork").Process(target=get_slowly, args=(str(tmp_path),)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0]
    assert (tmp_path / "computed").read_text() == "x"


def test_a_job_killed_while_it_writes_leaves_nothing(tmp_path: Path) -> None:
    job = multiprocessing.get_context("fork").Process(target=get_forever, args=(str(tmp_path),))
    job.start()
    while not list(tmp_path.glob("*.partial/data.bin")):
        time.sleep(0.02)
    job.kill()
    job.join()
    store = ActivationStore(tmp_path, 1.0, "float16")
    assert not store.entries()
    store.get("other", "other", (4, 3), pieces)
    assert not list(tmp_path.glob("*.partial"))
    np.testing.assert_array_equal(store.get("key", "k", (4, 3), pieces), ROWS)
