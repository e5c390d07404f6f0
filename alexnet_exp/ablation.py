"""An ablation study: which of its jobs are finished, how Hydra runs the others, and what the arms came to."""

from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from alexnet_exp.config.study import Arm, Study
from alexnet_exp.cores import cores
from alexnet_exp.tracking.identity import CONFIG_SHA256, note_reuse, part_in_study
from alexnet_exp.tracking.query import FINISHED, find_runs, run_filter

CONFIG = f"tags.{CONFIG_SHA256}"
ALIKE = ("dataset", "model", "strategy")  # tags of runs that take about as long
Job = tuple[int, str]  # seed and arm


def runs_alike(experiment_id: str, study: Study) -> pd.DataFrame:
    """All finished runs with the datasets, models and strategies of a study: a few paged queries."""
    settings = {(arm.config.dataset.name, arm.config.model.name, arm.config.strategy.name): None for arm in study.arms}
    tags = [dict(zip(ALIKE, setting, strict=True)) for setting in settings]
    return pd.concat([find_runs(experiment_id, run_filter(tags=some, more=FINISHED)) for some in tags])


def finished_jobs(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Those of `runs` that are jobs of the study, under its names, whatever study they were run in.

    A run is there twice where it is the result of two jobs. `job` is the job's `config_sha256`.
    """
    if CONFIG not in runs:
        return runs.head(0).assign(job="")
    arms = _arms_by_job(study)
    found = runs.assign(job=runs[CONFIG].str.split()).explode("job")
    found = found[found["job"].isin(arms)]
    settings = [arms[job].config.run for job in found["job"]]
    names = {f"tags.{name}": [getattr(run, name) for run in settings] for name in ("study", "arm", "baseline")}
    return found.assign(**names)


def count_in_study(study: Study, runs: pd.DataFrame) -> None:
    """Notes on finished runs of other studies that they are jobs of this one: `compare.py` counts them in it, too."""
    arms = _arms_by_job(study)
    for run in runs.to_dict("records"):
        tags = {str(key).removeprefix("tags."): value for key, value in run.items() if isinstance(value, str)}
        for job in arms.keys() & tags.get(CONFIG_SHA256, "").split():
            tags |= note_reuse(run["run_id"], tags, part_in_study(arms[job].config), job)


def unfinished_jobs(study: Study, finished: pd.DataFrame) -> list[Job]:
    """The jobs without a finished run, seed by seed: where a study stops early, its arms still have pairs."""
    done = set(finished["job"])
    return sorted((seed, arm.option) for arm in study.arms for seed, job in arm.jobs.items() if job not in done)


def command_lines(study: Study, jobs: list[Job]) -> list[list[str]]:
    """Sweeps that run the jobs, as arguments of `alexnet-exp`: one for all seeds that lack the same arms."""
    arms = defaultdict(list)
    for seed, arm in jobs:
        arms[seed].append(arm)
    seeds = defaultdict(list)
    for seed, lacking in arms.items():
        seeds[",".join(lacking)].append(str(seed))
    return [
        ["-m", f"seed={','.join(some)}", f"+ablation/{study.name}={lacking}", *study.overrides]
        for lacking, some in seeds.items()
    ]


def default_jobs() -> int:
    """How many jobs this machine runs at once: two on a CPU, where Hydra's joblib launcher is installed.

    Two jobs on a core each finish 1.5 times as many runs of `alexnet_small` as one after the other on two cores. A GPU
    is one job's.
    """
    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    return 1 if has_gpu or not find_spec("hydra_plugins.hydra_joblib_launcher") else min(2, cores())


def at_once(jobs: int, overrides: list[str]) -> list[str]:
    """Overrides that run so many jobs at once, each with its part of the cores; none where a launcher was chosen."""
    if jobs == 1 or any(override.startswith("hydra/launcher=") for override in overrides):
        return []
    return ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]


def _arms_by_job(study: Study) -> dict[str, Arm]:
    return {job: arm for arm in study.arms for job in arm.jobs.values()}
