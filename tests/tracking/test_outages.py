"""The tracking server goes away: nothing is lost, and nothing is stored twice."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from alexnet_exp.tracking.delivery import Delivery, sync
from alexnet_exp.tracking.journal import Journal, journals
from alexnet_exp.tracking.lifecycle import TrackedRun
from alexnet_exp.tracking.store import open_store
from tests.tracking.servers import MlflowServer
from tests.tracking.writers import EPOCH_METRICS, check_run, config_for, log_epochs, started_writers, value


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    started = MlflowServer(tmp_path)
    yield started
    started.stop()


def wait_for_delivery(journal: Journal) -> None:
    until = time.monotonic() + 60
    while not journal.delivered:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_run_outlives_an_outage_and_one_that_ends_in_it_is_delivered_later(
    server: MlflowServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    config = config_for(server.uri, tmp_path, "tracking.flush_seconds=30")
    hasty = config_for(server.uri, tmp_path, "tracking.flush_seconds=1")
    experiment_id = open_store(server.uri, "alexnet")
    client = MlflowClient(server.uri)

    with TrackedRun(config, experiment_id, []) as tracked:
        living = tracked.begin(config)
        log_epochs(living, range(5))
        wait_for_delivery(Journal(state / living.run_id))
        with TrackedRun(hasty, experiment_id, []) as other:
            ended = other.begin(hasty)
            log_epochs(ended, range(3))
            wait_for_delivery(Journal(state / ended.run_id))
            assert len(client.get_metric_history(ended.run_id, "val/loss")) == 3  # while it runs
            server.stop()
            log_epochs(living, range(5, 8))
            log_epochs(ended, range(3, 1500))
            ended.log_text("note.txt", "written while the server is away")
        (line,) = (record.getMessage() for record in caplog.records if "scripts/runs.py sync" in record.getMessage())
        assert ended.run_id in line
        assert str(state) in line
        assert {journal.run_id: journal.status for journal in journals(state)} == {
            ended.run_id: "FINISHED",
            living.run_id: None,
        }
        server.start()
        log_epochs(living, range(8, 10))
        living.log_text("note.txt", "written when it is back")
    check_run(client, living.run_id, 10)

    assert client.get_run(ended.run_id).info.status == "RUNNING"
    assert sync(state, None) == [Delivery(ended.run_id, None)]
    check_run(client, ended.run_id, 1500)
    assert journals(state) == []


@pytest.mark.faults
def test_repeated_outages_lose_nothing(
    server: MlflowServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Four runs, four outages of two kinds, and a run that is killed in the middle of one of them."""
    epochs, count = 400, 4
    open_store(server.uri, "alexnet")
    config = config_for(server.uri, tmp_path, "tracking.flush_seconds=30")
    with started_writers(count, config, tmp_path, epochs, seconds=0.1) as (*writers, victim):
        for kind in ("gone", "hangs", "gone", "hangs"):
            time.sleep(3)
            if kind == "gone":
                server.stop()
                time.sleep(1)
                victim.kill()
                server.start()
            else:
                server.signal(signal.SIGSTOP)
                time.sleep(6)
                server.signal(signal.SIGCONT)
        for writer in writers:
            writer.join(timeout=120)
            assert writer.exitcode == 0
    (killed,) = journals(tmp_path / "state")
    written = max(record.get("step", -1) for record in killed.records()) + 1
    assert 0 < written < epochs
    assert sync(tmp_path / "state", None) == [Delivery(killed.run_id, None)]

    client = MlflowClient(server.uri)
    runs = client.search_runs([client.get_experiment_by_name("alexnet").experiment_id])
    assert len(runs) == count
    for run in runs:
        if run.info.run_id != killed.run_id:
            check_run(client, run.info.run_id, epochs)
    for name in EPOCH_METRICS:
        points = client.get_metric_history(killed.run_id, name)
        assert [(point.step, point.value) for point in points] == [
            (epoch, value(killed.run_id, name, epoch)) for epoch in range(written)
        ]
    record_property(
        "figures",
        f"4 outages, {count} runs, {epochs} epochs each, one killed after {written}: none missing, none twice",
    )
