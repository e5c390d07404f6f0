"""The runs of an arm in MLflow: what counts as done, and what is still to run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pandas as pd

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.errors import ConfigError
from alexnet_exp.evaluation.arms import PARAMS
from alexnet_exp.tracking.query import FINISHED, find_runs, run_filter
from alexnet_exp.tracking.tracker import VALUE_LENGTH
from reproduction.claims import Arm

LONGEST_CAUSE = 200  # characters
AUTO = "auto"


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


def finished_runs(experiment_id: str, plans: Sequence[Plan]) -> dict[str, pd.DataFrame]:
    """For each plan the latest finished run of each value of its unit, whatever study it was made in.

    A run counts while its recorded parameters are those that the configuration has now. Parameters that came later than
    the run, and those that a machine settles (`auto`), do not count against it.
    """
    found = find_runs(experiment_id, FINISHED)
    recorded = found.filter(regex=f"^{PARAMS}").rename(columns=lambda name: str(name).removeprefix(PARAMS))
    return {one.name: _matching(found, recorded, one) for one in plans}


def _matching(found: pd.DataFrame, recorded: pd.DataFrame, one: Plan) -> pd.DataFrame:
    rows = {}
    for value in one.values if len(found) else ():
        try:
            wanted = parameters((*one.overrides, f"{one.unit}={value}"))
        except ConfigError:  # its data is not here
            continue
        settled = [name for name, text in wanted.items() if text == AUTO]
        columns = recorded.drop(columns=settled, errors="ignore")
        same = (columns.isna() | columns.eq(columns.columns.map(wanted).to_numpy())).all(axis=1)
        if same.any():
            rows[value] = found[same].iloc[-1]
    return pd.DataFrame.from_dict(rows, orient="index", columns=found.columns)


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
