"""Runs that have not finished: which are stale, which can be resumed, and what none of them needs any more."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from alexnet_exp.tracking.delivery import deliver, remove_finished
from alexnet_exp.tracking.identity import FINGERPRINT, is_live
from alexnet_exp.tracking.journal import Journal, journals
from alexnet_exp.tracking.provenance import CONFIG
from alexnet_exp.tracking.query import FINISHED, find_study, run_filter
from alexnet_exp.tracking.store import store_in_use

STALE = "stale"  # the status of a run that says RUNNING, but has no process


def list_runs(experiment_id: str, state: Path, study: str | None) -> pd.DataFrame:
    """The runs of an experiment or a study as `find_runs` gives them; `stale` says that one has no process."""
    runs = find_study(experiment_id, study)
    if runs.empty:
        return runs
    runs.loc[runs["run_id"].isin(stale_runs(experiment_id, state, study)), "status"] = STALE
    return runs


def stale_runs(experiment_id: str, state: Path, study: str | None) -> list[str]:
    """The ids of the runs that are RUNNING in the store, but have no process."""
    running = run_filter(study, more="attributes.status = 'RUNNING'")
    return [run.info.run_id for run in MlflowClient().search_runs([experiment_id], running) if not is_live(run, state)]


def end_stale(run_id: str, state: Path) -> None:
    """Delivers what is left of a stale run, and ends it KILLED (FINISHED, when that is how it ended)."""
    client, journal = MlflowClient(), Journal(state / run_id)
    if not journal.exists:
        client.set_terminated(run_id, "KILLED")
        return
    with journal.held():
        if journal.status in (None, "RUNNING"):
            journal.append("status", status="KILLED", timestamp=int(1000 * journal.written))
        deliver(journal, client)
        remove_finished(journal)


def unfinished(state: Path, study: str) -> dict[str, dict[str, Any]]:
    """By id the stored configurations of the runs of a study that can be resumed here, the oldest first."""
    files = {
        journal.run_id: journal.artifacts / CONFIG
        for journal in journals(state)
        if not journal.over and not journal.live
    }
    stored = {run_id: yaml.safe_load(file.read_text()) for run_id, file in files.items() if file.exists()}
    return {run_id: settings for run_id, settings in stored.items() if settings["run"]["study"] == study}


def remove_needless(experiment_id: str, state: Path) -> list[Path]:
    """Removes the journals and checkpoints of unfinished runs that nobody will resume, and returns their folders.

    That are runs that are deleted or gone, and those whose experiment another run has finished. Runs of another store
    than the one in use stay.
    """
    removed = []
    store = store_in_use()
    for journal in journals(state):
        with suppress(Timeout), journal.held():
            if journal.store in (store, None) and journal.delivered and not _is_needed(experiment_id, journal.run_id):
                journal.delete()
                removed.append(journal.folder)
    for checkpoints in state.glob("*/checkpoints"):
        if not (journal := Journal(checkpoints.parent)).exists and not journal.live:
            shutil.rmtree(checkpoints.parent, ignore_errors=True)
            removed.append(checkpoints.parent)
    return removed


def needed_since(state: Path) -> float:
    """When the oldest run that is not finished began, in seconds since 1970; now, where there is none."""
    began = [journal.artifacts / CONFIG for journal in journals(state)]
    return min((file.stat().st_mtime for file in began if file.exists()), default=time.time())


def _is_needed(experiment_id: str, run_id: str) -> bool:
    client = MlflowClient()
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return False
    same = f"tags.{FINGERPRINT} = '{run.data.tags.get(FINGERPRINT)}' and {FINISHED}"
    return run.info.lifecycle_stage == "active" and not client.search_runs([experiment_id], same, max_results=1)
