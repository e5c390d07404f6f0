"""An experiment is run once: finished runs are reused, others resumed, live ones left alone."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from alexnet_exp.config import RunConfig
from alexnet_exp.errors import RunIsLive, TrainingDiverged
from alexnet_exp.tracking.identity import PLACE, STALE_SECONDS, place
from alexnet_exp.tracking.journal import Journal, journals, now
from alexnet_exp.tracking.lifecycle import Finished, TrackedRun
from alexnet_exp.tracking.query import FINISHED, find_study
from alexnet_exp.tracking.store import open_store
from alexnet_exp.tracking.upkeep import end_stale, list_runs, needed_since, remove_needless, stale_runs, unfinished
from tests.tracking.writers import begin_together, config_for, log_epochs, processes, value

Configure = Callable[..., RunConfig]
EPOCHS = 6


@pytest.fixture
def configured(store: str, tmp_path: Path) -> Configure:
    return lambda *overrides: config_for(store, tmp_path, *overrides)


def write(
    config: RunConfig, epochs: range, problem: BaseException | None = None, same: str = "f" * 64
) -> str | Finished:
    """A run of some epochs that `problem` ends; its id, or the finished run that makes it unnecessary."""
    with TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []) as tracked:
        tracker = tracked.begin(config, same)
        if isinstance(tracker, Finished):
            return tracker
        log_epochs(tracker, epochs)
        if problem:
            raise problem
        tracker.log_summary({"test/accuracy": 0.5})
    return tracker.run_id


def all_runs() -> list[Run]:
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


def steps(run_id: str, name: str = "val/loss") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient().get_metric_history(run_id, name)]


def test_a_finished_run_is_reused_whatever_its_study_is_called(configured: Configure) -> None:
    first = write(configured("run.study=a"), range(EPOCHS))
    again = write(configured("run.study=b", "run.name=other"), range(EPOCHS))
    assert again == Finished(first, "a", all_runs()[0].data.metrics)
    assert again.metrics["test/accuracy"] == 0.5
    assert isinstance(write(configured(), range(1), same="e" * 64), str)
    assert isinstance(write(configured("run.if_exists=rerun"), range(1)), str)
    assert isinstance(write(configured("run.if_exists=resume"), range(1)), str)
    assert len(all_runs()) == 4


def test_a_reused_run_counts_in_each_study_that_asked_for_it(configured: Configure) -> None:
    first = write(configured("run.study=a", "run.arm=x"), range(1))
    for _ in range(2):
        write(configured("run.study=b", "run.arm=y", "run.baseline=y"), range(1))
        write(configured("run.study=b", "run.arm=z"), range(1))
        write(configured("run.study=a", "run.arm=x"), range(1))
        write(configured(), range(1))
    (run,) = all_runs()
    experiment_id = run.info.experiment_id

    def arms(study: str | None, **conditions: Any) -> list[tuple[str, str, str]]:
        found = find_study(experiment_id, study, **conditions)
        return (
            list(found[["run_id", "tags.arm", "tags.baseline"]].itertuples(index=False, name=None))
            if len(found)
            else []
        )

    assert arms("b") == [(first, "y", "y"), (first, "z", "none")]
    assert arms("a") == arms(None) == [(first, "x", "none")]
    assert arms("b", more=FINISHED, run_ids=[first]) == arms("b")
    assert arms("b", tags={"strategy": "other"}) == arms("c") == []


@pytest.mark.parametrize("problem", [ValueError("broken"), KeyboardInterrupt(), TrainingDiverged("loss nan")])
def test_an_unfinished_run_is_resumed_and_has_each_step_once(configured: Configure, problem: BaseException) -> None:
    with pytest.raises(type(problem)):
        write(configured("run.study=a"), range(4), problem)
    (run,) = all_runs()
    failed = isinstance(problem, Exception)
    assert run.info.status == ("FAILED" if failed else "KILLED")
    kind = "diverged" if isinstance(problem, TrainingDiverged) else "ValueError"
    assert run.data.tags.get("failure") == (kind if failed else None)
    run_id = write(configured("run.study=b"), range(2, EPOCHS))  # from a checkpoint that is older than the journal
    (run,) = all_runs()
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.tags.keys().isdisjoint({"failure", "error"})
    assert (run.data.tags["resumed"], run.data.tags["study"]) == ("1", "b")
    for name in ("val/loss", "time/epoch_seconds"):
        assert steps(run_id, name) == [(epoch, value(run_id, name, epoch)) for epoch in range(EPOCHS)]
    log = mlflow.artifacts.load_text(f"runs:/{run_id}/run.log")
    assert ("Traceback" in log) == failed


def test_a_live_run_is_left_alone(configured: Configure) -> None:
    config = configured()
    with TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []) as tracked:
        tracker = tracked.begin(config, "f" * 64)
        with pytest.raises(RunIsLive, match=f"Received: run {tracker.run_id} is live on "):
            write(config, range(1))
    assert len(all_runs()) == 1


def test_of_processes_that_start_together_one_runs(configured: Configure) -> None:
    config, together, answers = configured(), processes.Barrier(4), processes.Queue()
    mlflow.set_tracking_uri(config.tracking.uri)
    started = [processes.Process(target=begin_together, args=(config, together, answers)) for _ in range(4)]
    for process in started:
        process.start()
    found = sorted(answers.get(timeout=60) for _ in started)
    for process in started:
        process.join(timeout=60)
    assert found.count("ran") == 1, found
    assert [run.info.status for run in all_runs()] == ["FINISHED"]


def test_a_run_of_another_machine_is_live_until_its_heart_stops(configured: Configure, tmp_path: Path) -> None:
    config = configured()
    experiment_id = open_store(config.tracking.uri, "alexnet")
    client = MlflowClient()
    tags = {"fingerprint": "f" * 64, PLACE: "elsewhere:/state", "heartbeat": str(now())}
    run_id = client.create_run(experiment_id, tags=tags).info.run_id
    with pytest.raises(RunIsLive, match="is live on elsewhere:/state"):
        write(config, range(1))
    client.set_tag(run_id, "heartbeat", str(now() - int(1001 * STALE_SECONDS)))
    assert write(config, range(1)) != run_id
    state = tmp_path / "state"
    assert stale_runs(experiment_id, state, None) == [run_id]
    assert sorted(list_runs(experiment_id, state, None)["status"]) == ["FINISHED", "stale"]
    end_stale(run_id, state)
    assert client.get_run(run_id).info.status == "KILLED"


def test_a_run_that_was_killed_before_its_journal_began_is_resumed(configured: Configure, tmp_path: Path) -> None:
    config = configured()
    experiment_id = open_store(config.tracking.uri, "alexnet")
    tags = {"fingerprint": "f" * 64, PLACE: place(tmp_path / "state"), "heartbeat": str(now())}
    run_id = MlflowClient().create_run(experiment_id, tags=tags).info.run_id
    assert write(config, range(EPOCHS)) == run_id
    (run,) = all_runs()
    assert run.data.params["training.epochs"] == "8"


def test_a_run_that_finished_unheard_is_delivered_and_reused(configured: Configure, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(configured(), range(EPOCHS), KeyboardInterrupt())
    (journal,) = journals(tmp_path / "state")
    MlflowClient().update_run(journal.run_id, "RUNNING")
    with journal.held():
        journal.append("metrics", values={"test/accuracy": 0.25}, step=0, timestamp=now())
        journal.append("status", status="FINISHED", timestamp=now())
    assert write(configured(), range(EPOCHS)).metrics["test/accuracy"] == 0.25


def test_what_fails_before_it_begins_is_a_failed_run(configured: Configure) -> None:
    config = configured()
    with pytest.raises(ValueError, match="no data"), TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []):
        raise ValueError("no data")
    (run,) = all_runs()
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "ValueError: no data")
    assert "fingerprint" not in run.data.tags


def test_upkeep_finds_what_is_unfinished_and_removes_what_nobody_needs(configured: Configure, tmp_path: Path) -> None:
    state, photos = tmp_path / "state", tmp_path / "photos"
    photos.mkdir()
    config = configured("run.study=a", "dataset=image_folder", f"dataset.root={photos}")
    experiment_id = open_store(config.tracking.uri, "alexnet")
    for same in ("e" * 64, "f" * 64):
        with pytest.raises(ValueError, match="broken"):
            write(config, range(2), ValueError("broken"), same)
    needless, needed = (Journal(state / run.info.run_id) for run in reversed(all_runs()))
    (needless.checkpoints / "000001").mkdir(parents=True)
    photos.rmdir()  # only the run itself needs them
    assert [settings["run"]["study"] for settings in unfinished(state, "a").values()] == ["a", "a"]
    assert unfinished(state, "b") == {}
    write(configured("run.if_exists=rerun"), range(1), same="e" * 64)
    assert remove_needless(experiment_id, state) == [needless.folder]
    assert not needless.folder.exists()
    assert list(unfinished(state, "a")) == [needed.run_id]
    began = (needed.artifacts / "config" / "config.yaml").stat().st_mtime
    assert needed_since(state) == began
    MlflowClient().delete_run(needed.run_id)
    open_store(f"sqlite:///{tmp_path / 'other.db'}", "alexnet")
    assert remove_needless(experiment_id, state) == []
    open_store(config.tracking.uri, "alexnet")
    with needed.held():
        assert remove_needless(experiment_id, state) == []
    assert remove_needless(experiment_id, state) == [needed.folder]
    assert needed_since(state) == pytest.approx(time.time(), abs=5)


def test_a_pruned_trial_is_not_resumed(configured: Configure, tmp_path: Path) -> None:
    config = configured("run.study=a")

    def trial() -> None:
        with TrackedRun(config, open_store(config.tracking.uri, "alexnet"), []) as tracked:
            tracker = tracked.begin(config, "f" * 64)
            assert not isinstance(tracker, Finished)
            log_epochs(tracker, range(1))
            tracker.checkpoints.mkdir()
            tracker.tag(pruned="after epoch 1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial()
    (run,) = all_runs()
    assert run.info.status == "KILLED"
    assert not (tmp_path / "state" / run.info.run_id).exists()
    assert unfinished(tmp_path / "state", "a") == {}
    assert write(config, range(EPOCHS)) != run.info.run_id
