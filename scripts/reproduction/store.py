"""The runs of an arm in MLflow: what counts as done, and what is still to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.errors import ConfigError
from alexnet_exp.evaluation.arms import PARAMS
from alexnet_exp.tracking.query import find_runs, run_filter
from alexnet_exp.tracking.tracker import VALUE_LENGTH
from reproduction.claims import Arm

LONGEST_CAUSE = 200  # characters


@dataclass(frozen=True)
class Plan:
    """An arm with a budget: the overrides of each of its runs, by the value of its unit."""

    name: str
    unit: str
    overrides: tuple[str, ...]
    values: Sequence[int]

    @property
    def command(self) -> list[str]:
        """The arguments of `alexnet-exp`."""
        repeats = f"{self.unit}={','.join(map(str, self.values))}"
        return [*(["-m"] if len(self.values) > 1 else []), *self.overrides, repeats]


def plan(name: str, arm: Arm, quick: bool) -> Plan:
    overrides = (*arm.overrides, *(arm.quick if quick else ()))
    return Plan(name, arm.unit, overrides, range(1 if quick else arm.repeats))


def finished_runs(experiment_id: str, study: str, plans: list[Plan]) -> dict[str, pd.DataFrame]:
    """The latest finished run of each arm and value of its unit whose recorded parameters are those that it has now.

    Parameters that the configuration did not have yet when a run was made do not count against it.
    """
    found = find_runs(experiment_id, run_filter(study))
    if found.empty:
        return {one.name: found for one in plans}
    finished = found[found["status"] == "FINISHED"]
    return {one.name: _matching(finished[finished["tags.arm"] == one.name], one) for one in plans}


def _matching(runs: pd.DataFrame, one: Plan) -> pd.DataFrame:
    recorded = runs.filter(regex=f"^{PARAMS}").rename(columns=lambda name: str(name).removeprefix(PARAMS))
    rows = {}
    for value in one.values if len(runs) else ():
        try:
            wanted = parameters((*one.overrides, f"{one.unit}={value}"))
        except ConfigError:  # its data is not here
            continue
        same = [wanted.items() >= dict(run.dropna()).items() for _, run in recorded.iterrows()]
        if any(same):
            rows[value] = runs[same].iloc[-1]
    return pd.DataFrame.from_dict(rows, orient="index", columns=runs.columns)


def causes(experiment_id: str, study: str) -> dict[str, str]:
    """Why the last run of each arm that failed did, in a line."""
    found = find_runs(experiment_id, run_filter(study))
    if "tags.error" not in found:
        return {}
    failed = found.dropna(subset=["tags.error"])
    return {
        arm: " ".join(error.split())[:LONGEST_CAUSE] for arm, error in failed[["tags.arm", "tags.error"]].to_numpy()
    }


@cache
def parameters(overrides: tuple[str, ...]) -> dict[str, str]:
    """The configuration as a run's parameters in MLflow."""
    config = compose_config(list(overrides))
    return {name: str(value)[:VALUE_LENGTH] for name, value in flatten(science(config)).items()}
