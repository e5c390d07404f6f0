"""Runs are killed and started again: what is left is what would have been there without it, to the last bit."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from alexnet_exp.config.compose import compose_config
from alexnet_exp.run import run
from alexnet_exp.tracking.journal import journals
from alexnet_exp.tracking.query import download_weights
from alexnet_exp.tracking.store import open_store
from tests.conftest import TINY

KILLS = int(os.environ.get("ALEXNET_EXP_KILLS", "20"))
SMALL = (*TINY, "dataset.limit_per_class=20", "run.study=s")
STAGES = (
    "strategy.stages=[{layers: [head], epochs: 6, learning_rate: 0.01},"
    "{layers: [head, fc7], epochs: 6, learning_rate: 0.001},"
    "{layers: [head, fc7, fc6, conv5], epochs: 6, learning_rate: 0.001}]"
)
STOPPING = ("training.restore_best=true", "training.patience=8", "schedule=reduce_on_plateau")


class Place:
    """A store with the state and the cache of its runs, all in one folder."""

    def __init__(self, folder: Path):
        self.folder, self.uri = folder, f"sqlite:///{folder / 'mlflow.db'}"
        folder.mkdir()

    def start(self, *words: str) -> subprocess.Popen:
        names = {"MLFLOW_TRACKING_URI": self.uri, "ALEXNET_EXP_STATE": "state", "ALEXNET_EXP_CACHE": "cache"}
        command = [sys.executable, "-m", "alexnet_exp", *words]
        with (self.folder / "stderr").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, stderr=log, stdout=log, env=os.environ | names, preexec_fn=_take_sigint
            )

    def said(self) -> str:
        return (self.folder / "stderr").read_text()

    def wait_for(self, process: subprocess.Popen, words: str, start: int) -> bool:
        """Whether the process says something (a regular expression) after a position of its output, before it ends."""
        while not re.search(words, self.said()[start:]):
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        return True

    def runs(self) -> list[Run]:
        mlflow.set_tracking_uri(self.uri)
        return mlflow.search_runs(search_all_experiments=True, output_format="list")

    def results(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """By strategy and seed every step of every metric that is not a time; all runs are FINISHED and there once."""
        runs, client = self.runs(), MlflowClient(self.uri)
        assert {found.info.status for found in runs} == {"FINISHED"}
        names = Counter(f"{found.data.tags['strategy']} {found.data.tags['seed']}" for found in runs)
        assert set(names.values()) == {1}
        histories = {}
        for found in runs:
            histories[f"{found.data.tags['strategy']} {found.data.tags['seed']}"] = {
                name: [(point.step, point.value) for point in client.get_metric_history(found.info.run_id, name)]
                for name in found.data.metrics
                if not name.startswith("time/")
            }
        return histories


def _take_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is started in the background ignores it


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.faults)])
def test_a_signal_lets_the_epoch_end_and_the_run_goes_on_later(tmp_path: Path, number: signal.Signals) -> None:
    place = Place(tmp_path / "place")
    words = [*SMALL, "training.epochs=4"]
    process = place.start(*words)
    assert place.wait_for(process, "epoch 1/4", 0)
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert "Traceback" not in place.said()
    (killed,) = place.runs()
    assert killed.info.status == "KILLED"
    (journal,) = journals(place.folder / "state")
    assert len(list(journal.checkpoints.iterdir())) in (1, 2)

    (tmp_path / "undisturbed").mkdir()
    paths = [f"paths.state={place.folder / 'state'}", f"paths.cache={tmp_path / 'cache'}"]
    config = compose_config([*words, *paths, f"tracking.uri='{place.uri}'"])
    resumed = run(config, [])
    assert resumed.run_id == killed.info.run_id
    assert run(config, []) == resumed  # FINISHED: not run again
    other = f"tracking.uri='sqlite:///{tmp_path / 'undisturbed' / 'mlflow.db'}'"
    undisturbed = run(compose_config([*words, *paths, other]), [])
    assert (resumed.metrics, resumed.val_accuracy) == (undisturbed.metrics, undisturbed.val_accuracy)
    ((result,),) = (place.results().values(),)
    assert [step for step, _ in result["train/loss"]] == [0, 1, 2, 3]
    assert journals(place.folder / "state") == []
    assert not journal.folder.exists()


@pytest.mark.faults
def test_a_study_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """SIGKILL at random moments of a study of six runs by three strategies, each started again until it is done."""
    whole, killed = Place(tmp_path / "whole"), Place(tmp_path / "killed")
    source = tmp_path / "network.keras"
    open_store(f"sqlite:///{tmp_path / 'source.db'}", "alexnet")
    words = [*SMALL, f"tracking.uri='sqlite:///{tmp_path / 'source.db'}'", f"paths.state={tmp_path / 'source'}"]
    made = run(compose_config([*words, f"paths.cache={tmp_path / 'source'}"]), [])
    download_weights(made.run_id, tmp_path / "download").rename(source)
    pretrained = ("weights=file", f"weights.path={source}")
    both = ("-m", "hydra.verbose=true", *SMALL, "seed=0,1")
    commands = [
        (*both, "training.epochs=16", *STOPPING),
        (*both, "strategy=finetune", STAGES, *pretrained, "training.restore_best=true"),
        (*both, "strategy=features_mlp", "strategy.epochs=30", *pretrained),
    ]
    for command in commands:
        assert whole.start(*command).wait() == 0, whole.said()
    expected = whole.results()
    assert len(expected) == 6

    rng, epochs_before = random.Random(0), []
    for number, command in enumerate(commands, start=1):
        share, done = KILLS * number // len(commands), False
        while not done or len(epochs_before) < share:
            (killed.folder / "stderr").touch()
            start = len(killed.said())
            process = killed.start(*command)
            moment = rng.choice([", seed |not run again", " epoch |not run again"])
            if len(epochs_before) < share and killed.wait_for(process, moment, start):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, rng.choice([0.5, 1, 4])))
                process.kill()
            if process.wait() == 0:
                done = True
                continue
            assert process.returncode == -signal.SIGKILL, killed.said()
            epochs_before.append(killed.said()[start:].count(" epoch "))
    results = killed.results()
    assert results == expected
    resumed = sum(int(found.data.tags.get("resumed", 0)) for found in killed.runs())
    points = sum(len(history) for result in results.values() for history in result.values())
    assert len(epochs_before) == KILLS
    assert resumed > 0
    record_property(
        "figures",
        f"{KILLS} SIGKILLs in a study of {len(results)} runs, resumed {resumed} times: {points} points of metrics "
        f"equal to the last bit, none missing, none twice; epochs before each: {epochs_before}",
    )
