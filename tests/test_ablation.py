"""A study as a command: what is finished is not run again, the rest runs through Hydra, the arms are compared."""

import itertools
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from alexnet_exp.ablation import at_once, command_lines, count_in_study, finished_jobs, runs_alike, unfinished_jobs
from alexnet_exp.config.study import Study, compose_study
from alexnet_exp.estimate import estimate
from alexnet_exp.tracking import query
from alexnet_exp.tracking.store import open_store
from tests.conftest import REPO, TINY

SCRIPT = str(REPO / "scripts" / "ablate.py")
ARMS = ["after_pooling", "before_pooling", "none"]


@pytest.fixture(scope="module")
def study() -> Study:
    return compose_study("lrn", ARMS, range(3), ["dataset.limit_per_class=20"])


def finish(experiment_id: str, config_sha256: str, **tags: str) -> None:
    """Writes a finished run of 24 epochs as the tracker does, with the tags that are read."""
    client = mlflow.MlflowClient()
    place = {"dataset": "digits", "model": "alexnet_small", "strategy": "scratch"}
    run = client.create_run(experiment_id, tags=place | {"config_sha256": config_sha256} | tags).info.run_id
    client.log_param(run, "training.epochs", 24)
    client.log_param(run, "dataset.limit_per_class", 20)
    client.log_metric(run, "test/accuracy", 0.5 + 0.001 * (sum(config_sha256.encode()) % 100))
    client.log_metric(run, "time/total_seconds", 30.0)
    client.set_terminated(run, "FINISHED")


def test_what_is_finished_is_found_page_by_page(study: Study, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "PAGE", 2)
    experiment_id = open_store(store, "alexnet")
    after, _, none = study.arms
    for seed in (0, 1):
        finish(experiment_id, none.jobs[seed], study="batchnorm", arm="none", seed=str(seed))  # the same experiment
    finish(experiment_id, f"{after.jobs[0]} {after.jobs[2]}", study="lrn", arm="after_pooling", seed="0")
    finish(experiment_id, "another experiment", study="lrn", arm="none", seed="2")
    running = mlflow.MlflowClient().create_run(experiment_id, tags={"config_sha256": none.jobs[2]})
    assert running.info.status == "RUNNING"

    finished = finished_jobs(study, runs_alike(experiment_id, study))
    assert sorted(zip(finished["tags.study"], finished["tags.arm"], finished["job"], strict=True)) == sorted(
        ("lrn", arm.option, arm.jobs[seed]) for arm, seed in ((none, 0), (none, 1), (after, 0), (after, 2))
    )
    assert unfinished_jobs(study, finished) == [
        (0, "before_pooling"), (1, "after_pooling"), (1, "before_pooling"), (2, "before_pooling"), (2, "none"),
    ]  # fmt: skip


def test_an_estimate_prefers_runs_of_the_arm(study: Study, store: str) -> None:
    experiment_id = open_store(store, "alexnet")
    arm = study.arms[0]
    nothing = runs_alike(experiment_id, study)
    rough = estimate(arm.config, finished_jobs(study, nothing), nothing)
    assert rough.source == "multiply-adds (rough)"
    assert rough.seconds > 6
    assert rough.megabytes == pytest.approx(2.3, abs=0.2)  # 194,000 parameters, figures and code
    finish(experiment_id, "another experiment")
    alike = runs_alike(experiment_id, study)
    assert estimate(arm.config, finished_jobs(study, alike), alike).seconds == 10  # 8 epochs, not 24
    finish(experiment_id, arm.jobs[0])
    alike = runs_alike(experiment_id, study)
    known = estimate(arm.config, finished_jobs(study, alike), alike)
    assert (known.seconds, known.source) == (30, "1 of its runs")


@pytest.mark.parametrize("lacking", [[], [(0, "none")], [(0, "none"), (1, "after_pooling"), (1, "none"), (2, "none")]])
def test_the_command_lines_are_exactly_the_jobs(study: Study, lacking: list[tuple[int, str]]) -> None:
    jobs = []
    for sweep, *arguments in command_lines(study, lacking):
        assert sweep == "-m"
        (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(arguments), None)
        for seed, arm, limit in batch:
            assert limit == "dataset.limit_per_class=20"
            jobs.append((int(seed.removeprefix("seed=")), arm.removeprefix("+ablation/lrn=")))
    assert sorted(jobs) == lacking


def ablate(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["scripts/ablate.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(SCRIPT, run_name="__main__")
    return ended.value.code


def test_a_finished_study_is_compared_without_a_job(
    study: Study, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    experiment_id = open_store(store, "alexnet")
    for arm, seed in itertools.product(study.arms, range(3)):
        finish(experiment_id, arm.jobs[seed], seed=str(seed))
    words = ["lrn", "dataset.limit_per_class=20", "--seeds", "3"]
    assert ablate(monkeypatch, *words, "--dry-run") == 0
    assert "0 to run" in capsys.readouterr().out
    assert ablate(monkeypatch, *words, "--html", str(tmp_path / "report.html")) == 0
    assert "Difference to none, paired by seed" in capsys.readouterr().out
    assert "<html" in (tmp_path / "report.html").read_text()
    counted = query.find_study(experiment_id, "lrn")
    assert len(counted) == 9
    assert set(counted["tags.arm"]) == {arm.config.run.arm for arm in study.arms}
    assert ablate(monkeypatch, *words, "--dry-run", "run.if_exists=rerun") == 0
    assert "9 to run" in capsys.readouterr().out
    assert ablate(monkeypatch, *words, "--dry-run", "--arms", "none", "after_pooling", "run.if_exists=rerun") == 0
    assert "6 to run" in capsys.readouterr().out


def test_a_run_counts_for_every_job_that_it_is_the_result_of(study: Study, store: str) -> None:
    experiment_id = open_store(store, "alexnet")
    first, second, _ = study.arms
    finish(experiment_id, f"{first.jobs[0]} {second.jobs[0]}", study="other")
    count_in_study(study, runs_alike(experiment_id, study))
    counted = query.find_study(experiment_id, "lrn")
    assert sorted(counted["tags.arm"]) == sorted(str(arm.config.run.arm) for arm in (first, second))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["norm"], "error: STUDY: expected a folder of conf/ablation. Options: activation"),
        (["lrn", "--seeds", "0"], "error: --seeds: expected at least 1. Received: 0"),
        (["lrn", "--jobs", "0"], "error: --jobs: expected at least 1. Received: 0"),
        (
            ["lrn", "--arms", "all"],
            "error: --arms: expected arms of lrn. Options: after_pooling, before_pooling, none.",
        ),
        (["lrn", "--html", "nowhere/x.html"], "error: --html: expected a place in a folder that exists. Received: "),
        (["lrn", "a b"], "error: "),
        (["lrn", "training.epochs=x", "model.activation=y"], "error: model.activation: "),
    ],
)
def test_mistakes_are_named_before_anything_runs(
    words: list[str], message: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = ablate(monkeypatch, *words)
    assert str(code).startswith(message)
    assert all(line.startswith("error: ") for line in str(code).splitlines())


@pytest.mark.parametrize(
    ("jobs", "overrides", "expected"),
    [
        (1, [], []),
        (3, [], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"]),
        (3, ["hydra/launcher=slurm"], []),
    ],
)
def test_jobs_run_at_once_unless_the_user_chose_a_launcher(
    jobs: int, overrides: list[str], expected: list[str]
) -> None:
    assert at_once(jobs, overrides) == expected


@pytest.mark.faults
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_study_goes_on_with_what_is_missing(store: str, tmp_path: Path, jobs: int) -> None:
    words = ["lrn", "--arms", "none", "after_pooling", "--seeds", str(2 * jobs), "--jobs", str(jobs), *TINY]
    words.append("dataset.limit_per_class=20")
    command = [sys.executable, SCRIPT, *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr
        first = next(process.stderr)
        time.sleep(2)  # the second job
        os.kill(process.pid, signal.SIGKILL)
    assert re.match(r"#\d seed=\d \+ablation/lrn=(none|after_pooling)  test accuracy 0\.\d+ ", first)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    lacking = re.search(r"^(\d+) to run", again.stdout, re.MULTILINE)
    assert lacking
    assert int(lacking[1]) in ([3] if jobs == 1 else range(1, 8))
    assert re.search(rf"after_pooling +{2 * jobs} ", again.stdout)
    assert "paired by seed" in again.stdout
    assert (tmp_path / "multirun" / "lrn.html").exists()
    mlflow.set_tracking_uri(store)
    runs = mlflow.search_runs(search_all_experiments=True, filter_string="tags.study = 'lrn'", output_format="list")
    finished = [
        run.data.tags["config_sha256"] for run in runs if run.info.status == "FINISHED" and "kind" not in run.data.tags
    ]
    assert len(finished) == len(set(finished)) == 4 * jobs
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize(("fail_fast", "failed"), [("false", 2), ("true", 1)])
def test_a_sweep_ends_with_a_table_of_what_failed(tmp_path: Path, fail_fast: str, failed: int) -> None:
    words = ["-m", "+ablation/pooling=glob(*)", "training.epochs=0", f"run.fail_fast={fail_fast}"]
    done = subprocess.run([sys.executable, "-m", "alexnet_exp", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"failed jobs: {failed}" in done.stderr
    assert "+ablation/pooling=overlapping" in done.stderr
    assert ("+ablation/pooling=plain" in done.stderr) == (failed == 2)
    assert done.stderr.endswith(f"again, without what is finished: {shlex.join(['alexnet-exp', *words])}\n")
    assert "Traceback" not in done.stderr
