"""The runs of an arm in MLflow: what counts as done, and what is still to run."""

from dataclasses import dataclass

import pandas as pd

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.tracking.query import find_runs, run_filter
from alexnet_exp.tracking.tracker import VALUE_LENGTH
from reproduction.claims import Arm

LONGEST_CAUSE = 200  # characters


@dataclass(frozen=True)
class Plan:
    """An arm with a budget: the overrides of each of its runs, by the value of its unit."""

    name: str
    unit: str
    overrides: list[str]
    values: range

    @property
    def command(self) -> list[str]:
        """The arguments of `alexnet-exp` for all runs."""
        return self.command_for(list(self.values))

    def command_for(self, values: list[int]) -> list[str]:
        """The arguments of `alexnet-exp` for some runs."""
        repeats = f"{self.unit}={','.join(map(str, values))}"
        return [*(["-m"] if len(values) > 1 else []), *self.overrides, repeats]


def plan(name: str, arm: Arm, quick: bool) -> Plan:
    return Plan(name, arm.unit, [*arm.overrides, *(arm.quick if quick else ())], range(1 if quick else arm.repeats))


def finished_runs(experiment_id: str, study: str, plans: list[Plan]) -> dict[str, pd.DataFrame]:
    """The latest finished run of each arm and value of its unit whose recorded parameters are those that it has now.

    Parameters that the configuration did not have yet when a run was made do not count against it.
    """
    found = find_runs(experiment_id, run_filter(study))
    return {one.name: _matching(found, one) for one in plans}


def _matching(found: pd.DataFrame, one: Plan) -> pd.DataFrame:
    rows = {}
    if not found.empty:
        candidates = found[(found["tags.arm"] == one.name) & (found["status"] == "FINISHED")]
        for value in one.values:
            wanted = parameters([*one.overrides, f"{one.unit}={value}"])
            for _, run in candidates.iterrows():
                recorded = {
                    str(name).removeprefix("params."): text for name, text in run.items() if _is_param(name, text)
                }
                if recorded == {name: wanted.get(name) for name in recorded}:
                    rows[value] = run
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


def parameters(overrides: list[str]) -> dict[str, str]:
    """The configuration as a run's parameters in MLflow."""
    config = compose_config(overrides)
    return {name: str(value)[:VALUE_LENGTH] for name, value in flatten(science(config)).items()}


def _is_param(name: object, value: object) -> bool:
    return str(name).startswith("params.") and pd.notna(value)  # type: ignore[call-overload]
