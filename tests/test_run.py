"""A whole run leaves everything in MLflow, repeats to the last bit, and ends with an honest status."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities import Run
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from alexnet_exp.config import RunConfig, config_from
from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import science
from alexnet_exp.data import load_splits
from alexnet_exp.errors import WeightsError
from alexnet_exp.run import RunResult, run
from alexnet_exp.strategy import load_fitted
from alexnet_exp.tracking.query import download_model, download_weights
from tests.conftest import TINY, Compose

EPOCH_METRICS = {
    "train/loss", "train/accuracy", "val/loss", "val/accuracy", "train/learning_rate", "time/epoch_seconds",
    "time/images_per_second",
}  # fmt: skip
FINAL_METRICS = {
    "test/accuracy", "test/accuracy_low", "test/accuracy_high", "test/top5_accuracy", "test/macro_f1", "test/loss",
    "test/ece", "time/total_seconds", "model/parameters", "val/final_accuracy",
}  # fmt: skip
TAGS = {
    "scenario", "strategy", "dataset", "model", "seed", "fingerprint", "study", "arm", "git_commit", "git_dirty",
}  # fmt: skip
ARTIFACTS = {
    "config/config.yaml", "config/overrides.yaml", "figures/curves.png", "figures/confusion_matrix.png",
    "figures/confusion_matrix_normalized.png", "figures/predictions.png", "figures/conv1_kernels.png",
    "figures/embedding.png", "figures/mistakes.png", "figures/neighbours.png", "figures/per_class.png",
    "figures/reliability.png",
    "predictions/test.parquet", "classification_report.json", "run.log",
}  # fmt: skip


def stored(result: RunResult) -> Run:
    return mlflow.get_run(result.run_id)


def artifacts(run_id: str) -> set[str]:
    root = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RunConfig, RunResult]]:
    """The store, configuration and result of a finished run that the tests of this module look at."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        words = [
            "tracking.figures=true",
            "dataset.limit_per_class=20",
            "training.epochs=2",
            "run.study=s",
            f"tracking.uri='{uri}'",
        ]
        config = compose_config([*TINY, "seed=0", *words])
        yield uri, config, run(config, ["seed=0"])


def test_a_run_leaves_everything(finished: tuple[str, RunConfig, RunResult]) -> None:
    uri, _, result = finished
    mlflow.set_tracking_uri(uri)
    found = stored(result)
    assert found.info.status == "FINISHED"
    assert found.data.metrics.keys() >= EPOCH_METRICS | FINAL_METRICS
    assert found.data.tags.keys() >= TAGS
    assert found.data.tags["seed"] == "0"
    assert found.data.tags["arm"] == "none"
    assert len(found.data.tags["fingerprint"]) == 64
    assert found.data.params["model.norm.position"] == "before_activation"
    assert artifacts(result.run_id) >= ARTIFACTS | {"figures/grad_cam.png"}
    history = mlflow.MlflowClient().get_metric_history(result.run_id, "val/accuracy")
    assert [point.step for point in history] == [0, 1]
    assert history[-1].value == result.val_accuracy
    predictions = pd.read_parquet(
        mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="predictions/test.parquet")
    )
    assert list(predictions.columns) == ["id", "label", "prediction", "probabilities"]
    assert (predictions["label"] == predictions["prediction"]).mean() == pytest.approx(result.metrics["accuracy"])


def test_the_logged_model_is_self_contained_and_without_pickle(finished: tuple[str, RunConfig, RunResult]) -> None:
    uri, _, result = finished
    mlflow.set_tracking_uri(uri)
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{result.run_id}/model"))
    requirements = (folder / "requirements.txt").read_text()
    assert all(f"{name}==" in requirements for name in ("keras", "tensorflow", "scikit-learn", "skops", "pydantic"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert "image_size: 32" in (folder / "MLmodel").read_text()
    allowed = closure([line.split("==")[0] for line in requirements.splitlines()])
    missing = [
        module
        for module, owners in packages_distributions().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
    ]
    assert "hydra" in missing
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import alexnet_exp.tracking.serving"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder / "code", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def closure(requirements: list[str]) -> set[str]:
    """The distributions that an installation of some brings, by their canonical names."""
    found: set[str] = set()
    while requirements:
        requirement = Requirement(requirements.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            requirements += distribution(name).requires or []
    return found


def test_the_stored_configuration_composes_the_same_run(finished: tuple[str, RunConfig, RunResult]) -> None:
    uri, config, result = finished
    mlflow.set_tracking_uri(uri)
    path = mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="config/config.yaml")
    again = config_from(yaml.safe_load(Path(path).read_text()))
    assert science(again) == science(replace(config, training=replace(config.training, devices=1)))
    assert uri not in Path(path).read_text()


@pytest.mark.parametrize("strategy", ["features_svm", "features_mlp", "finetune"])
def test_transfer_from_an_earlier_run_loads_back_with_the_same_predictions(
    finished: tuple[str, RunConfig, RunResult], tiny: Compose, strategy: str, tmp_path: Path
) -> None:
    uri, _, source = finished
    stages = ["strategy.stages=[{layers: [head], epochs: 1, learning_rate: 0.1}]"] if strategy == "finetune" else []
    words = [f"strategy={strategy}", "weights=run", f"weights.run_id={source.run_id}", f"tracking.uri='{uri}'"]
    config = tiny("tracking.figures=true", "model.preprocess.scale=1", *words, *stages)
    result = run(config, [])
    tags, params = stored(result).data.tags, stored(result).data.params
    assert params["model.preprocess.scale"] == stored(source).data.params["model.preprocess.scale"]
    assert tags["weights_sha256"]
    assert tags["weights_run_id"] == source.run_id
    left = artifacts(result.run_id)
    assert left >= ARTIFACTS
    assert ("figures/grad_cam.png" in left) == (strategy != "features_svm")
    model = mlflow.pyfunc.load_model(f"runs:/{result.run_id}/model")
    test = load_splits(config.dataset, 32, tmp_path).test
    predictions = pd.read_parquet(
        mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="predictions/test.parquet")
    )
    assert predictions["id"].tolist() == test.ids
    answer = model.predict(test.take(slice(None)))
    assert list(answer.columns) == [str(digit) for digit in range(10)]
    np.testing.assert_array_equal(answer, np.array(predictions["probabilities"].tolist(), np.float32))


def test_the_same_config_and_seed_give_the_same_bits(store: str, tiny: Compose) -> None:
    first, second = (run(tiny("augmentation=rotate_shift_shear_zoom", "run.if_exists=rerun"), []) for _ in range(2))
    assert first.metrics == second.metrics
    histories = [stored(result).data.metrics["train/loss"] for result in (first, second)]
    assert histories[0] == histories[1]
    assert stored(first).data.tags["fingerprint"] == stored(second).data.tags["fingerprint"]


def test_an_interrupted_run_is_killed_and_keeps_its_log(store: str, tiny: Compose, monkeypatch) -> None:
    from alexnet_exp import run as module

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(module.STRATEGIES, "scratch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tiny(), [])
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.info.status == "KILLED"
    assert artifacts(found.info.run_id) >= {"run.log", "config/config.yaml"}


def test_a_sweep_survives_its_failing_job(store: str, tmp_path: Path) -> None:
    sweep = ["-m", *TINY, "dataset.limit_per_class=20", "optimizer.learning_rate=0.001,1e20,0.002", "run.study=sweep"]
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *sweep], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    mlflow.set_tracking_uri(store)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert sorted(found.info.status for found in runs) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = (found for found in runs if found.info.status == "FAILED")
    assert failed.data.params["optimizer.learning_rate"] == "1e+20"
    log = mlflow.artifacts.load_text(f"runs:/{failed.info.run_id}/run.log")
    assert "the loss stays finite" in log
    assert "Traceback" in log
    assert "the loss stays finite" in failed.data.tags["error"]
    assert failed.data.tags["failure"] == "diverged"


def test_an_unknown_run_as_source_of_weights_is_named(store: str, tiny: Compose) -> None:
    with pytest.raises(WeightsError, match=r"^weights\.run_id: .*Received: 0123456789abcdef"):
        run(tiny("strategy=features_svm", "weights=run", "weights.run_id=0123456789abcdef0123456789abcdef"), [])
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


def test_a_model_other_than_the_run_recorded_is_refused(
    finished: tuple[str, RunConfig, RunResult], tmp_path: Path
) -> None:
    uri, _, result = finished
    mlflow.set_tracking_uri(uri)
    folder = download_model(result.run_id, tmp_path / "whole")
    assert load_fitted(folder).class_names == [str(digit) for digit in range(10)]
    settings = (folder / "fitted.json").read_bytes()
    stored_files = Path(uri.removeprefix("sqlite:///")).parent.rglob("fitted.json")
    (stored_settings,) = (path for path in stored_files if path.read_bytes() == settings)
    network = stored_settings.with_name("network.keras")
    weights = network.read_bytes()
    try:
        network.write_bytes(weights + b"!")
        with pytest.raises(WeightsError, match=r"network\.keras: expected the SHA-256 that was recorded"):
            download_weights(result.run_id, tmp_path / "network")
        stored_settings.write_bytes(settings.replace(file_digest(weights), file_digest(weights + b"!")))
        with pytest.raises(WeightsError, match=r"recorded as model_sha256, [0-9a-f]{64}\. Received: [0-9a-f]{64}$"):
            download_weights(result.run_id, tmp_path / "both")
    finally:
        network.write_bytes(weights)
        stored_settings.write_bytes(settings)


def file_digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
