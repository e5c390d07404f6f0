"""Runs in a real MLflow store, compared by the script."""

import os
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities import Metric, Param, RunTag

from alexnet_exp.config import to_dict
from alexnet_exp.config.compose import compose_config
from alexnet_exp.evaluation.metrics import evaluate
from alexnet_exp.tracking import query
from alexnet_exp.tracking.store import open_store
from tests.conftest import REPO

CLASSES = ["cat", "dog & <b>", "x"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three finished runs of two arms with curves and predictions of digits, one failed run, one of another study."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.chdir(folder)
        yield filled_store()


def filled_store() -> str:
    experiment_id = open_store(os.environ["MLFLOW_TRACKING_URI"], "alexnet")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    ids = [f"{number:04d}" for number in range(40)]
    client = mlflow.MlflowClient()
    for arm, skill in (("none", 0.2), ("<i>batch_1</i>", 0.8)):
        for seed in range(3):
            with mlflow.start_run(experiment_id=experiment_id, run_name=f"run-{seed}") as run:
                tags = {"study": "s", "arm": arm, "seed": str(seed)}
                history = [Metric("val/loss", 1.0 / (step + 1) + 0.1 * seed, 0, step) for step in range(3)]
                params = [Param("model.norm.kind", arm), Param("seed", str(seed))]
                client.log_batch(run.info.run_id, history, params, [RunTag(*tag) for tag in tags.items()])
                chance = rng.dirichlet(np.ones(3), 40)
                chance[np.arange(40), labels] += skill
                chance[:2] = np.eye(3)[(labels[:2] + 1) % 3]  # what every run misses
                report = evaluate(chance / chance.sum(1, keepdims=True), labels, ids, CLASSES)
                mlflow.log_metrics({f"test/{name}": value for name, value in report.metrics.items()})
                report.predictions.to_parquet("test.parquet")
                mlflow.log_artifact("test.parquet", "predictions")
                mlflow.log_text(yaml.safe_dump(to_dict(compose_config([]))), "config/config.yaml")
    for status, name in (("FAILED", "s"), ("FINISHED", "other")):
        failed = client.create_run(experiment_id, tags={"study": name, "arm": "none", "seed": "9"})
        client.set_terminated(failed.info.run_id, status)
    return experiment_id


def compare_script(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["compare.py", *words])
    runpy.run_path(str(REPO / "scripts" / "compare.py"), run_name="__main__")


def test_a_study_becomes_tables_and_one_page(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"out.{name}" for name in ("csv", "latex", "markdown", "html")}
    compare_script(monkeypatch, "s", *(word for name, path in files.items() for word in (f"--{name}", str(path))))
    shown = capsys.readouterr().out
    assert "not counted: 1 FAILED" in shown
    table = pd.read_csv(files["csv"], index_col="arm")
    assert table["n"].tolist() == [3, 3]
    assert table.loc["<i>batch_1</i>", "verdict"] == "better"

    page = files["html"].read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|http://127\.0\.0\.1:5000/#)', page)
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;i&gt;batch_1&lt;/i&gt;" in page
    for text in ("Effects", "What differs", "Curves", "Confusion", "Examples that every arm misses", "data:image/png"):
        assert text in page
    assert page.count("data:image/svg+xml") == 4  # effects, curves and two confusion matrices

    (report,) = mlflow.search_runs([study], "tags.kind = 'report'", output_format="list")
    assert mlflow.artifacts.load_text(f"runs:/{report.info.run_id}/report.html") == page
    for name in ("effects", "curves"):
        assert mlflow.artifacts.load_text(f"runs:/{report.info.run_id}/{name}.svg").startswith("<?xml")
    assert report.info.status == "FINISHED"
    assert len(query.find_runs(study, query.run_filter("s"))) == 7


def test_two_chosen_runs_are_compared_on_the_examples(
    study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = query.find_runs(study, query.run_filter("s", more="attributes.status = 'FINISHED'"))["run_id"]
    compare_script(monkeypatch, "--runs", ids.iloc[3], ids.iloc[0])
    shown = capsys.readouterr().out
    assert f"Difference to run-0 {ids.iloc[3][:8]}, paired by test example" in shown
    assert re.search(r" 40 +-0\.\d{4} .* worse", shown)


def test_the_search_goes_through_pages(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = query.find_runs(study, "")
    monkeypatch.setattr(query, "PAGE", 3)
    pd.testing.assert_frame_equal(query.find_runs(study, ""), whole, check_like=True)
    assert len(whole) == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["s", "--baseline", "nothing"],
            "--baseline: expected an arm. Options: <i>batch_1</i>, none. Received: nothing",
        ),
        (["nothing"], "expected runs to compare. Received: none with tags.`study` = 'nothing'"),
        (["--filter", "foo bar"], "expected an MLflow filter. Received: foo bar"),
        (["--runs", "0123"], "expected runs to compare. Received: none with attributes.run_id IN ('0123')"),
        (
            ["s", "--experiment", "x"],
            "tracking.experiment: expected one of the store. Options: Default, alexnet. Received: x",
        ),
        (["s", "--tag", "x"], "--tag: expected NAME=VALUE. Received: x"),
        (
            ["s", "--html", "nowhere/x.html"],
            "--html: expected a place in a folder that exists. Received: nowhere/x.html",
        ),
        (
            ["s", "--uri", "sqlite:///nowhere.db"],
            "tracking.uri: expected a store with runs. Received: sqlite:////",
        ),
    ],
)
def test_a_mistake_is_one_line(study: str, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        compare_script(monkeypatch, *words)
    assert str(stopped.value.code).startswith(f"error: {message}")
    assert "\n" not in str(stopped.value.code)


def test_addresses_hold_no_password(store: str) -> None:
    mlflow.set_tracking_uri("https://user:secret@host:8080/mlflow/")
    assert query.run_address("1", "ab") == "https://host:8080/mlflow/#/experiments/1/runs/ab"
