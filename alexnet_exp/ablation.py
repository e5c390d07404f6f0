"""An ablation study: which of its jobs are finished, what the others will take, and how Hydra runs those."""

from collections import defaultdict

import pandas as pd

from alexnet_exp.config.study import Study
from alexnet_exp.tracking import query

FINISHED = "attributes.status = 'FINISHED'"
CONFIG = "tags.config_sha256"


def finished_runs(experiment_id: str, study: Study) -> pd.DataFrame:
    """The finished runs of a study's jobs; one query for each page of runs, however many jobs there are."""
    tag = study.arms[0].config.run.study
    found = query.find_runs(experiment_id, query.run_filter(tag, more=FINISHED))
    wanted = {job for arm in study.arms for job in arm.jobs.values()}
    return found[found[CONFIG].isin(wanted)] if CONFIG in found else found.head(0)


def unfinished(study: Study, finished: pd.DataFrame) -> list[tuple[int, str]]:
    """Seed and arm of the jobs that have no finished run, seed by seed, so that a study that is stopped has pairs."""
    done = set(finished[CONFIG]) if len(finished) else set()
    return sorted((seed, arm.option) for arm in study.arms for seed, job in arm.jobs.items() if job not in done)


def multiruns(study: Study, jobs: list[tuple[int, str]]) -> list[list[str]]:
    """The jobs as command lines of `alexnet-exp`; as few as there are different sets of arms that seeds lack."""
    arms, seeds = defaultdict(list), defaultdict(list)
    for seed, arm in jobs:
        arms[seed].append(arm)
    for seed, lacking in arms.items():
        seeds[tuple(lacking)].append(str(seed))
    return [
        ["-m", f"seed={','.join(some)}", f"+ablation/{study.name}={','.join(lacking)}", *study.overrides]
        for lacking, some in seeds.items()
    ]
