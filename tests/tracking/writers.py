"""Runs that need no TensorFlow: a real configuration, tracker and store, and numbers of their own."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from mlflow import MlflowClient

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config
from alexnet_exp.errors import RunIsLive
from alexnet_exp.tracking.lifecycle import TrackedRun
from alexnet_exp.tracking.store import open_store
from alexnet_exp.tracking.tracker import Tracker

EPOCH_METRICS = ("train/loss", "val/loss", "time/epoch_seconds")
processes = multiprocessing.get_context("forkserver")  # separate processes that import MLflow once
processes.set_forkserver_preload([__name__])


def config_for(uri: str, folder: Path, *overrides: str) -> RunConfig:
    return compose_config([f"tracking.uri='{uri}'", f"paths.state={folder / 'state'}", *overrides])


def log_epochs(tracker: Tracker, epochs: range, seconds: float = 0.0) -> None:
    for epoch in epochs:
        tracker.log_epoch(epoch, {name: value(tracker.run_id, name, epoch) for name in EPOCH_METRICS})
        time.sleep(seconds)


def value(run_id: str, name: str, epoch: int) -> float:
    """Another number for each run, metric and epoch."""
    return (int(run_id[:6], 16) + epoch) / (EPOCH_METRICS.index(name) + 3)


def write_run(config: RunConfig, folder: Path, epochs: int, seconds: float, together: Barrier) -> None:
    os.chdir(folder)
    together.wait(timeout=60)
    experiment_id = open_store(config.tracking.uri, config.tracking.experiment)
    with TrackedRun(config, experiment_id, []) as tracked:
        tracker = tracked.begin(config)
        log_epochs(tracker, range(epochs), seconds)
        tracker.log_text("note.txt", tracker.run_id)


def begin_together(config: RunConfig, together: Barrier, answers: Queue) -> None:
    """Begins the same experiment as other processes, and says whether it ran."""
    together.wait(timeout=60)
    try:
        with TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []) as tracked:
            answers.put("ran" if isinstance(tracked.begin(config, "f" * 64), Tracker) else "reused")
            time.sleep(1)
    except RunIsLive:
        answers.put("live")


@contextmanager
def started_writers(count: int, config: RunConfig, folder: Path, epochs: int, seconds: float) -> Iterator[list]:
    """Processes that write a run each, and start at the same moment; none outlives the test."""
    together = processes.Barrier(count)
    arguments = (config, folder, epochs, seconds, together)
    made = [processes.Process(target=write_run, args=arguments) for _ in range(count)]
    for process in made:
        process.start()
    try:
        yield made
    finally:
        for process in made:
            process.kill()


def check_run(client: MlflowClient, run_id: str, epochs: int) -> None:
    """Everything is there, and nothing twice."""
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "8"
    for name in EPOCH_METRICS:
        points = [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
        assert sorted(points) == [(epoch, value(run_id, name, epoch)) for epoch in range(epochs)]
    names = {file.path for file in client.list_artifacts(run_id)}
    assert names == {"config", "note.txt", "run.log"}
