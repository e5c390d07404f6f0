"""A whole run leaves everything in MLflow, repeats to the last bit, and ends with an honest status."""

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from alexnet_exp.config import config_from
from alexnet_exp.config.load import to_dict
from alexnet_exp.data import load_splits
from alexnet_exp.run import RunResult, run
from tests.conftest import TINY, Compose

EPOCH_METRICS = {
    "train/loss", "train/accuracy", "val/loss", "val/accuracy", "train/learning_rate", "time/epoch_seconds",
    "time/images_per_second",
}  # fmt: skip
FINAL_METRICS = {
    "test/accuracy", "test/accuracy_low", "test/accuracy_high", "test/top5_accuracy", "test/macro_f1", "test/loss",
    "test/ece", "time/total_seconds", "model/parameters",
}  # fmt: skip
TAGS = {
    "scenario", "strategy", "dataset", "model", "seed", "fingerprint", "study", "arm", "git_commit", "git_dirty",
}  # fmt: skip
ARTIFACTS = {
    "config/config.yaml", "config/overrides.yaml", "figures/curves.png", "figures/confusion_matrix.png",
    "figures/confusion_matrix_normalized.png", "figures/predictions.png", "figures/conv1_kernels.png",
    "predictions/test.parquet", "classification_report.json", "run.log",
}  # fmt: skip


def stored(result: RunResult) -> Run:
    return mlflow.get_run(result.run_id)


def artifacts(run_id: str) -> set[str]:
    root = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_run_leaves_everything(store: str, tiny: Compose) -> None:
    config = tiny("seed=0", "training.epochs=2", "run.study=s", "run.arm=a")
    result = run(config, ["seed=0"])
    found = stored(result)
    assert found.info.status == "FINISHED"
    assert found.data.metrics.keys() >= EPOCH_METRICS | FINAL_METRICS
    assert found.data.tags.keys() >= TAGS
    assert found.data.tags["seed"] == "0"
    assert len(found.data.tags["fingerprint"]) == 64
    assert found.data.params["model.norm.position"] == "before_activation"
    assert artifacts(result.run_id) >= ARTIFACTS
    history = mlflow.MlflowClient().get_metric_history(result.run_id, "val/accuracy")
    assert [point.step for point in history] == [0, 1]
    predictions = pd.read_parquet(
        mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="predictions/test.parquet")
    )
    assert list(predictions.columns) == ["id", "label", "prediction", "probabilities"]
    assert (predictions["label"] == predictions["prediction"]).mean() == pytest.approx(result.metrics["accuracy"])


def test_the_same_config_and_seed_give_the_same_bits(store: str, tiny: Compose) -> None:
    first, second = (run(tiny("augmentation=rotate_shift_shear_zoom"), []) for _ in range(2))
    assert first.metrics == second.metrics
    histories = [stored(result).data.metrics["train/loss"] for result in (first, second)]
    assert histories[0] == histories[1]
    assert stored(first).data.tags["fingerprint"] == stored(second).data.tags["fingerprint"]
    other = run(tiny("augmentation=rotate_shift_shear_zoom", "seed=1"), [])
    assert stored(other).data.metrics["train/loss"] != histories[0]


@pytest.mark.parametrize("strategy", ["features_svm", "features_mlp", "finetune"])
def test_transfer_from_an_earlier_run_loads_back_with_the_same_predictions(
    store: str, tiny: Compose, strategy: str, tmp_path: Path
) -> None:
    source = run(tiny(), [])
    stages = ["strategy.stages=[{layers: [head], epochs: 1, learning_rate: 0.1}]"] if strategy == "finetune" else []
    config = tiny(f"strategy={strategy}", "weights=run", f"weights.run_id={source.run_id}", *stages)
    result = run(config, [])
    assert stored(result).data.tags["weights_sha256"]
    model = mlflow.pyfunc.load_model(f"runs:/{result.run_id}/model")
    test = load_splits(config.dataset, 32, tmp_path).test
    predictions = pd.read_parquet(
        mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="predictions/test.parquet")
    )
    assert predictions["id"].tolist() == test.ids
    np.testing.assert_array_equal(
        model.predict(test.take(slice(None))), np.array(predictions["probabilities"].tolist(), np.float32)
    )


def test_the_stored_configuration_composes_the_same_run(store: str, tiny: Compose) -> None:
    import yaml

    config = tiny()
    result = run(config, [])
    path = mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="config/config.yaml")
    assert config_from(yaml.safe_load(Path(path).read_text())) == config == config_from(to_dict(config))


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
    sweep = ["-m", *TINY, "dataset.limit_per_class=20,1,19", "run.study=sweep"]
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *sweep], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    mlflow.set_tracking_uri(store)
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert sorted(found.info.status for found in runs) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = (found for found in runs if found.info.status == "FAILED")
    assert failed.data.params["dataset.limit_per_class"] == "1"
    log = mlflow.artifacts.load_text(f"runs:/{failed.info.run_id}/run.log")
    assert "expected at least 3 images" in log
    assert "Traceback" in log
    assert "expected at least 3 images" in failed.data.tags["error"]


def test_an_unknown_run_as_source_of_weights_is_named(store: str, tmp_path: Path) -> None:
    words = ["strategy=features_svm", "weights=run", "weights.run_id=0123456789abcdef0123456789abcdef"]
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: weights.run_id: expected the id of a run")
    assert "Traceback" not in done.stderr
