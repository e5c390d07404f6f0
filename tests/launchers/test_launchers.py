"""Sweeps in other processes and on other machines: eight jobs, of which one fails; none is lost, none runs twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from alexnet_exp import tuning
from tests.conftest import REPO, TINY
from tests.launchers import slurm

pytestmark = pytest.mark.launchers

RATES = [0.001, 0.002, 0.003, 1e20, 0.005, 0.006, 0.007, 0.008]  # at one of them training diverges
GRID = f"optimizer.learning_rate={','.join(map(str, RATES))}"
RAY_PYTHON = REPO / ".venv-ray" / "bin" / "python"
SMALL = [*TINY, "dataset.limit_per_class=20"]
PATH_OF_MODULES = {"PYTHONPATH": str(REPO)}
SECONDS = 600


def command(*words: str, python: Path | str = sys.executable) -> list[str]:
    return [str(python), "-m", "alexnet_exp", "-m", *SMALL, "run.study=sweep", *words]


def sweep(*words: str, python: Path | str = sys.executable, environment: Mapping[str, str] = os.environ) -> None:
    """Runs a sweep with a failing job, as a user does."""
    whole, variables = command(*words, python=python), {**environment, **PATH_OF_MODULES}
    done = subprocess.run(whole, env=variables, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr


def until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)


def all_runs() -> list[Run]:
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


def check_runs(store: str, killed: int = 0) -> list[Run]:
    mlflow.set_tracking_uri(store)
    found = all_runs()
    runs = [run for run in found if run.info.status != "RUNNING"]
    assert len(found) - len(runs) <= killed
    ended = {float(run.data.params["optimizer.learning_rate"]): run for run in runs}
    assert sorted(ended) == sorted(RATES)
    assert len(runs) == len(RATES)
    assert {rate for rate, run in ended.items() if run.info.status == "FINISHED"} == {*RATES} - {1e20}
    failed = ended[1e20]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["failure"] == "diverged"
    assert "the loss stays finite" in failed.data.tags["error"]
    return runs


def test_joblib_runs_two_jobs_at_once(store: str) -> None:
    sweep(GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    times = sorted((run.info.start_time, run.info.end_time) for run in check_runs(store))
    assert any(start < end for (_, end), (start, _) in pairwise(times))


def test_slurm_runs_a_job_array(store: str) -> None:
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.cluster(cpus=2) as environment:
        sweep(GRID, "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", environment=environment)
    check_runs(store)


def test_ray_runs_on_its_local_cluster(store: str) -> None:
    if not RAY_PYTHON.exists():
        pytest.skip("Ray's environment is missing: make test-launchers creates it")
    cluster = "+hydra.launcher.ray.init={num_cpus: 2, include_dashboard: false}"
    sweep(GRID, "hydra/launcher=ray", cluster, python=RAY_PYTHON)
    check_runs(store)


def test_optuna_goes_on_after_a_kill(store: str, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install -e '.[optuna]'")
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    study = optuna.create_study(storage=storage, study_name="sweep", direction="maximize")
    for rate in RATES:
        study.enqueue_trial({"optimizer.learning_rate": rate})
    place = ["hydra/sweeper=optuna", f"hydra.sweeper.storage='{storage}'", f"hydra.sweeper.n_trials={len(RATES)}"]
    words = ["optimizer.learning_rate=interval(1e-4, 1e21)", *place]
    with subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, start_new_session=True) as process:
        until(lambda: len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) >= 3, process)
        os.killpg(process.pid, signal.SIGKILL)
    sweep(*words)
    settled = {trial.params["optimizer.learning_rate"]: trial.state.name for trial in tuning.settled(study)}
    assert settled == {rate: "FAIL" if rate == 1e20 else "COMPLETE" for rate in RATES}
    assert len(tuning.settled(study)) == len(RATES)
    check_runs(store, killed=1)
