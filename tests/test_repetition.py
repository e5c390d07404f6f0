"""A repeated run is the recorded one, gives the same metrics to the last bit, and tells what has changed since."""

import runpy
import sys
from pathlib import Path

import mlflow
import pytest

from alexnet_exp.config import to_dict
from alexnet_exp.config.compose import compose_config
from alexnet_exp.repetition import recorded_config
from alexnet_exp.run import run
from alexnet_exp.tracking.query import find_run
from alexnet_exp.tracking.store import use_store
from tests.conftest import REPO, Compose


def repeat(monkeypatch: pytest.MonkeyPatch, run_id: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["runs.py", "repeat", run_id])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(REPO / "scripts" / "runs.py"), run_name="__main__")
    return stopped.value.code


def test_a_run_is_repeated_and_compared(
    store: str,
    tiny: Compose,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_id = run(tiny("seed=3", "run.study=s", "augmentation=rotate_shift_shear_zoom"), ["seed=3"]).run_id
    client = mlflow.MlflowClient()
    client.set_tag(run_id, "code_sha256", "another")
    client.set_tag(run_id, "dataset_sha256", "other")
    client.log_metric(run_id, "test/ece", 2.0, step=100)
    assert repeat(monkeypatch, run_id) == 1
    (repeated,) = mlflow.search_runs(
        search_all_experiments=True, filter_string=f"tags.arm = '{run_id}'", output_format="list"
    )
    compared = len([name for name in repeated.data.metrics if not name.startswith("time/")])
    assert capsys.readouterr().out.splitlines() == [
        f"test/ece: 2.0 in run {run_id}, {repeated.data.metrics['test/ece']} in run {repeated.info.run_id}",
        f"{compared - 1} of {compared} metrics came out the same to the last bit, run {repeated.info.run_id}",
    ]
    ours = [record for record in caplog.records if record.name.startswith("alexnet_exp")]
    assert [record.message for record in ours if record.levelname == "WARNING"] == [
        f"code_sha256: recorded another, now {repeated.data.tags['code_sha256']}",
        f"dataset_sha256: recorded other, now {repeated.data.tags['dataset_sha256']}",
    ]
    original = find_run(run_id)
    assert repeated.data.tags["fingerprint"] == original.data.tags["fingerprint"]
    assert repeated.data.tags["study"] == "repeats"
    assert f"runs.py repeat {repeated.info.run_id}" in repeated.data.tags["mlflow.note.content"]


def test_data_is_looked_for_where_this_machine_keeps_it(store: str, photos: Path, tmp_path: Path) -> None:
    use_store(store)
    recorded = compose_config(["dataset=image_folder", f"dataset.root={photos}", f"paths.data={tmp_path}"])
    with mlflow.start_run() as started:
        mlflow.log_dict(to_dict(recorded), "config/config.yaml")
    (tmp_path / "elsewhere").mkdir()
    moved = photos.rename(tmp_path / "elsewhere" / "photos")
    here = compose_config([f"paths.data={moved.parent}", f"paths.cache={tmp_path}"])
    config = recorded_config(started.info.run_id, here)
    assert config.dataset.root == str(moved)
    assert config.paths == here.paths
    assert config.tracking.uri == store


def test_a_run_that_failed_is_not_repeated(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_store(store)
    run_id = mlflow.MlflowClient().create_run("0").info.run_id
    assert repeat(monkeypatch, run_id) == f"error: expected a finished run. Received: {run_id}, RUNNING"
