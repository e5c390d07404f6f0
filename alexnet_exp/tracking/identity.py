"""Whether an experiment has a run already: found by its fingerprint, with one query however many runs there are."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from alexnet_exp.config import RunConfig
from alexnet_exp.errors import RunIsLive
from alexnet_exp.tracking.delivery import HEARTBEAT, HEARTBEAT_SECONDS, deliver, remove_finished
from alexnet_exp.tracking.journal import Journal, now

NONE = "none"  # the value of a tag that has none: MLflow filters by tags that are there
FINGERPRINT, PLACE = "fingerprint", "place"  # tags
CONFIG_SHA256 = "config_sha256"  # the tag with the configurations, a word each, that a run is the result of
ALSO_IN = "also_in"  # the tag with the other studies that count a run: a JSON list of their tags PART
PART = ("study", "arm", "baseline")  # tags
STALE_SECONDS = 5 * HEARTBEAT_SECONDS  # without a sign of life: a run on another machine counts as dead
MOST_TWINS = 100
MOST_NOTED = 50  # configurations or studies in one tag


def earlier_run(client: MlflowClient, experiment_id: str, fingerprint: str, if_exists: str, state: Path) -> Run | None:
    """The run of the same experiment to take up: a FINISHED one to reuse, another one to resume.

    Args:
      if_exists: `reuse` takes both, `resume` those alone that are not finished, `rerun` none.
      state: the folder of journals. What has none there cannot be resumed.

    Raises:
      RunIsLive: when a process has it.
    """
    if if_exists == "rerun":
        return None
    same, latest = f"tags.{FINGERPRINT} = '{fingerprint}'", ["attributes.start_time DESC"]
    runs = [_delivered(client, run, state) for run in client.search_runs([experiment_id], same, 1, MOST_TWINS, latest)]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    if finished and if_exists == "reuse":
        return finished[0]
    for run in runs:
        if is_live(run, state):
            raise RunIsLive(
                "run.if_exists: expected an experiment that no process works on (rerun starts another one). "
                f"Received: run {run.info.run_id} is live on {run.data.tags.get(PLACE, 'another machine')}"
            )
    return next((run for run in runs if run not in finished and _resumable(run, state)), None)


def part_in_study(config: RunConfig) -> dict[str, str]:
    """The tags PART of a job."""
    return {name: getattr(config.run, name) or NONE for name in PART}


def note_reuse(run_id: str, tags: Mapping[str, str], part: dict[str, str], job: str) -> dict[str, str]:
    """Adds a configuration to those that a finished run is the result of, and its study to those that count the run.

    Args:
      tags: of the run.
      part: `part_in_study` of the job that takes the run for its own.
      job: its `config_sha256`.

    Returns:
      The tags that are new.
    """
    new = {}
    known = tags.get(CONFIG_SHA256, "").split()
    if job not in known:  # its data may lie elsewhere by now
        new[CONFIG_SHA256] = " ".join([*known[-MOST_NOTED:], job])
    others = json.loads(tags.get(ALSO_IN, "[]"))
    if part["study"] != NONE and part not in [{name: tags.get(name, NONE) for name in PART}, *others]:
        new[ALSO_IN] = json.dumps([*others[-MOST_NOTED:], part])
    for name, value in new.items():
        MlflowClient().set_tag(run_id, name, value)
    return new


def is_live(run: Run, state: Path) -> bool:
    """Whether a process has a run: by the lock of its journal here, by its last sign of life elsewhere."""
    journal = Journal(state / run.info.run_id)
    if journal.exists or run.data.tags.get(PLACE) == place(state):
        return journal.live
    sign = int(run.data.tags.get(HEARTBEAT, run.info.start_time))
    return run.info.status == "RUNNING" and now() - sign < 1000 * STALE_SECONDS


def place(state: Path) -> str:
    """This machine, and the folder in which it keeps the journals of its runs."""
    return f"{socket.gethostname()}:{state}"


def _resumable(run: Run, state: Path) -> bool:
    """A run whose journal is lost is begun anew: nobody knows which of its epochs the store has."""
    return Journal(state / run.info.run_id).exists or (
        run.data.tags.get(PLACE) == place(state) and not run.data.metrics
    )


def _delivered(client: MlflowClient, run: Run, state: Path) -> Run:
    """A run that finished while the store was away: delivers it first."""
    journal = Journal(state / run.info.run_id)
    if run.info.status == "FINISHED" or journal.status != "FINISHED" or journal.live:
        return run
    with journal.held():
        deliver(journal, client)
        remove_finished(journal)
    return client.get_run(run.info.run_id)
