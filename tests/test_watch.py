"""A study that goes on, as it is shown."""

from io import StringIO

import mlflow
import pytest
from rich.console import Console

from alexnet_exp.tracking.query import find_runs
from alexnet_exp.tracking.store import open_store
from alexnet_exp.watch import changes, progress


@pytest.fixture
def experiment_id(store: str) -> str:
    """Of two finished runs and one that runs, of one arm, and a failed run of another."""
    experiment_id, client = open_store(store, "alexnet"), mlflow.MlflowClient()
    for arm, seed, status, accuracies in (
        ("none", 0, "FINISHED", [0.5]), ("none", 1, "FINISHED", [0.75]), ("none", 2, "RUNNING", [0.25, 0.5]),
        ("batch", 0, "FAILED", []),
    ):  # fmt: skip
        run = client.create_run(experiment_id, tags={"arm": arm, "seed": str(seed)}).info.run_id
        for step, accuracy in enumerate(accuracies):
            client.log_metric(run, "val/accuracy", accuracy, step=step)
        if status == "FINISHED":
            client.log_metric(run, "test/accuracy", accuracies[-1])
        if status != "RUNNING":
            client.set_terminated(run, status)
    return experiment_id


def test_the_table_counts_runs_and_shows_those_that_go_on(experiment_id: str) -> None:
    screen = StringIO()
    Console(width=120, file=screen).print(progress(find_runs(experiment_id, "")))
    lines = [line.split() for line in screen.getvalue().splitlines()]
    assert ["none", "3", "2", "1", "0", "0.6250", "-"] in lines
    assert ["batch", "1", "0", "0", "1", "-", "-"] in lines
    (running,) = (line for line in lines if "seed" in line)
    assert running[:-1] == ["seed", "2,", "epoch", "2,", "val/accuracy", "0.5000"]
    assert 0 <= float(running[-1]) < 600


def test_without_a_terminal_only_changes_are_told(experiment_id: str) -> None:
    known: dict[str, str] = {}
    first = changes(find_runs(experiment_id, ""), known)
    assert [line.split("  ")[:3] for line in first] == [
        ["none seed 0", "FINISHED", "test/accuracy 0.5000"],
        ["none seed 1", "FINISHED", "test/accuracy 0.7500"],
        ["none seed 2", "RUNNING", "test/accuracy -"],
        ["batch seed 0", "FAILED", "test/accuracy -"],
    ]
    (running,) = (run_id for run_id, status in known.items() if status == "RUNNING")
    mlflow.MlflowClient().set_terminated(running, "KILLED")
    (line,) = changes(find_runs(experiment_id, ""), known)
    assert line.startswith("none seed 2  KILLED")
