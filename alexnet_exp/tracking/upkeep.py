"""Runs that have not finished: which are stale, which can be resumed, and what none of them needs any more."""

import shutil
import time
from pathlib import Path

import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from alexnet_exp.config import RunConfig, config_from
from alexnet_exp.tracking.delivery import deliver, remove_finished
from alexnet_exp.tracking.identity import FINGERPRINT, is_live
from alexnet_exp.tracking.journal import Journal, journals
from alexnet_exp.tracking.provenance import CONFIG
from alexnet_exp.tracking.query import FINISHED, find_study, run_filter

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


def unfinished(state: Path, study: str) -> dict[str, RunConfig]:
    """By id the configurations of the runs of a study that can be resumed here, the oldest first."""
    configs = {
        journal.run_id: _config_of(journal)
        for journal in journals(state)
        if journal.status != "FINISHED" and not journal.live
    }
    return {run_id: config for run_id, config in configs.items() if config and config.run.study == study}


def remove_needless(experiment_id: str, state: Path) -> list[Path]:
    """Removes the journals and checkpoints of unfinished runs that nobody will resume, and returns their folders.

    That are runs that are deleted or gone, and those whose experiment another run has finished.
    """
    removed = []
    for journal in journals(state):
        if not journal.live and journal.delivered and not _is_needed(experiment_id, journal.run_id):
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
    except MlflowException:
        return False
    same = f"tags.{FINGERPRINT} = '{run.data.tags.get(FINGERPRINT)}' and {FINISHED}"
    return run.info.lifecycle_stage == "active" and not client.search_runs([experiment_id], same, max_results=1)


def _config_of(journal: Journal) -> RunConfig | None:
    file = journal.artifacts / CONFIG
    return config_from(yaml.safe_load(file.read_text()), to_run=False) if file.exists() else None
