"""The journal keeps what a run says, and a store gets it once."""

from pathlib import Path

import mlflow
import pytest
from filelock import Timeout
from mlflow import MlflowClient

from alexnet_exp.config import RunConfig
from alexnet_exp.tracking.delivery import Delivery, deliver, sync
from alexnet_exp.tracking.journal import Journal, journals
from alexnet_exp.tracking.lifecycle import TrackedRun
from alexnet_exp.tracking.store import open_store
from tests.tracking.writers import config_for, log_epochs


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "state" / "run")
    with made.held():
        pass
    return made


def test_records_come_back_in_order_and_to_the_last_bit(journal: Journal) -> None:
    values = {"a": 0.1 + 0.2, "b": float("inf"), "c": 1e-320}
    for step in range(3):
        journal.append("metrics", values=values, step=step, timestamp=5)
    (first, _), (end, second), (_, third) = journal.pending()
    assert [second["step"], third["step"]] == [1, 2]
    assert second["values"] == values
    assert first < end
    journal.confirm(end)
    assert [record["step"] for _, record in Journal(journal.folder).pending()] == [2]
    assert len(journal.records()) == 3


def test_half_a_line_is_dropped_and_the_journal_goes_on(journal: Journal) -> None:
    journal.append("tags", values={"a": "1"})
    with open(journal.folder / "journal.jsonl", "a") as file:
        file.write('{"kind": "tags", "val')
    assert len(journal.records()) == 1
    with journal.held():
        journal.append("tags", values={"b": "2"})
    assert [record["values"] for record in journal.records()] == [{"a": "1"}, {"b": "2"}]


def test_a_live_journal_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    journal.append("store", uri="http://127.0.0.1:1")
    with journal.held():
        with pytest.raises(Timeout), Journal(journal.folder).held():
            pass
        assert sync(tmp_path / "state", None) == []
    ((delivery),) = sync(tmp_path / "state", None)
    assert delivery.run_id == "run"
    assert "Received: http://127.0.0.1:1 (" in str(delivery.problem)


def test_what_is_sent_again_is_stored_once(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All confirmations are lost: everything is delivered three times, the model too."""
    monkeypatch.setattr("alexnet_exp.tracking.lifecycle.remove_finished", lambda journal: None)
    config, experiment_id = config_for(store, tmp_path), open_store(store, "alexnet")
    with TrackedRun(config, experiment_id, []) as tracked:
        tracker = tracked.begin(config)
        log_epochs(tracker, range(30))
        tracker.log_summary({"test/accuracy": 0.1 + 0.2, "test/loss": float("nan")})
        journal = Journal(tmp_path / "state" / tracker.run_id)
        data = tmp_path / "data"
        data.write_text("weights")
        saved = {"loader_module": "alexnet_exp.serving", "data_path": str(data), "pip_requirements": ["numpy"]}
        mlflow.pyfunc.save_model(str(journal.folder / "model"), **saved)
        journal.append("model", path="model")
    client = MlflowClient()
    before = {name: client.get_metric_history(tracker.run_id, name) for name in ("val/loss", "test/accuracy")}
    for _ in range(2):
        journal.confirm(0)
        deliver(journal, client)
    after = {name: client.get_metric_history(tracker.run_id, name) for name in before}
    assert after == before
    assert [len(points) for points in before.values()] == [30, 1]
    assert len(client.get_metric_history(tracker.run_id, "test/loss")) == 1
    (model,) = client.search_logged_models([experiment_id])
    assert model.status == "READY"
    assert {metric.key for metric in model.metrics} == {"test/accuracy", "test/loss"}
    run = client.get_run(tracker.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    downloaded = Path(mlflow.artifacts.download_artifacts(f"runs:/{tracker.run_id}/model"))
    assert (downloaded / "data" / "data").read_text() == "weights"


def write_until(problem: BaseException | None, config: RunConfig, epochs: int) -> None:
    with TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []) as tracked:
        tracker = tracked.begin(config)
        log_epochs(tracker, range(epochs))
        if problem:
            raise problem


def test_an_unfinished_run_keeps_its_journal_and_a_finished_one_does_not(store: str, tmp_path: Path) -> None:
    config = config_for(store, tmp_path)
    with pytest.raises(ValueError, match="broken"):
        write_until(ValueError("broken"), config, 2)
    write_until(None, config, 2)
    (kept,) = journals(tmp_path / "state")
    assert (kept.status, kept.delivered) == ("FAILED", True)
    assert [record["step"] for record in kept.records() if record["kind"] == "metrics"] == [0, 1]
    assert MlflowClient().get_run(kept.run_id).data.tags["error"] == "ValueError: broken"
    assert sync(tmp_path / "state", store) == []


def test_a_journal_that_cannot_be_written_ends_the_run_as_failed_with_the_cause(store: str, tmp_path: Path) -> None:
    config = config_for(store, tmp_path, "tracking.flush_seconds=1")

    def obstruct(state: Path) -> None:
        with TrackedRun(config, open_store(store, "alexnet"), []) as tracked:
            tracker = tracked.begin(config)
            lines = state / tracker.run_id / "journal.jsonl"
            lines.unlink()
            lines.mkdir()
            log_epochs(tracker, range(1))

    with pytest.raises(IsADirectoryError):
        obstruct(tmp_path / "state")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FAILED"
    assert "Is a directory" in run.data.tags["error"]


def test_another_store_s_journal_does_not_hold_up_the_rest(store: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_until(KeyboardInterrupt(), config_for(store, tmp_path), 2)
    (journal,) = journals(tmp_path / "state")
    journal.confirm(0)
    lost = Journal(tmp_path / "state" / "lost")
    with lost.held():
        lost.append("store", uri="http://127.0.0.1:1")
    found = sync(tmp_path / "state", store)
    assert Delivery(journal.run_id, None) in found
    assert [delivery.run_id for delivery in found if delivery.problem] == ["lost"]
    assert MlflowClient().get_run(journal.run_id).info.status == "KILLED"
