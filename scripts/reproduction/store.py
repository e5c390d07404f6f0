"""The runs of an arm, in MLflow or kept beside the table: what counts as done, and what is still to run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import flatten, science
from alexnet_exp.config.schema import NoWeights
from alexnet_exp.evaluation.arms import METRICS, PARAMS
from alexnet_exp.tracking.query import FINISHED, find_runs, read_curves, run_filter
from alexnet_exp.tracking.tracker import VALUE_LENGTH
from reproduction.claims import Arm

LONGEST_CAUSE = 200  # characters
AUTO = "auto"
OF_WEIGHTS = ("model.preprocess.", "model.norm.lrn.")
COURSE = "course."  # columns of runs: the values of a metric after each epoch
COURSES = ("train/accuracy", "val/accuracy", "test/accuracy")
KEPT = ("run_id", "start_time", "tags.fingerprint", "tags.git_commit", PARAMS, METRICS, COURSE)  # columns' beginnings


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


def finished_runs(experiment_id: str, plans: Sequence[Plan], kept: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each plan the latest finished run of each value of its unit, whatever study it was made in.

    A run counts while its recorded parameters are those that the configuration has now. Parameters that came later than
    the run, that a machine settles (`auto`), or that pretrained weights bring, do not count against it.

    Args:
      experiment_id: of the experiment in MLflow.
      plans: of the arms.
      kept: runs that are perhaps in no store any more, see `read_kept`; those in MLflow take their place.

    Returns:
      Tables as `find_runs` gives them, with a column `course.*` for the values of a metric after each epoch.
    """
    found = find_runs(experiment_id, FINISHED)
    found = pd.concat([kept[~kept["run_id"].isin(found["run_id"])], found] if len(found) else [kept], ignore_index=True)
    recorded = found.filter(regex=f"^{PARAMS}").rename(columns=lambda name: str(name).removeprefix(PARAMS))
    return {one.name: _matching(found, recorded, one) for one in plans}


def read_kept(path: Path) -> pd.DataFrame:
    """The runs that `write_kept` left, in the order of their start; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return pd.DataFrame(list(map(json.loads, lines)), columns=None if lines else ["run_id"])


def write_kept(path: Path, runs: Mapping[str, pd.DataFrame]) -> None:
    """Keeps the runs that a table was written from, a line of JSON each, so that other machines can add to it."""
    rows = [
        {name: value for name, value in row.items() if isinstance(value, list) or pd.notna(value)}
        for some in runs.values()
        for row in some.loc[:, some.columns.str.startswith(KEPT)].to_dict("records")
    ]
    lines = [json.dumps(row, sort_keys=True) for row in sorted(rows, key=lambda row: row["start_time"])]
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(f"{line}\n" for line in dict.fromkeys(lines)), encoding="utf-8")
    partial.replace(path)


def _with_courses(run: dict[str, Any]) -> dict[str, Any]:
    """A run with the values of the metrics after each epoch; those that it has already stay."""
    if isinstance(run.get(f"{COURSE}{COURSES[0]}"), list):
        return run
    curves = read_curves([run["run_id"]], COURSES).sort_values("step").groupby("metric")["value"]
    return run | {f"{COURSE}{metric}": course.tolist() for metric, course in curves}


def _matching(found: pd.DataFrame, recorded: pd.DataFrame, one: Plan) -> pd.DataFrame:
    rows = {}
    for value in one.values if len(found) else ():
        wanted = parameters((*one.overrides, f"{one.unit}={value}"))
        settled = [name for name, text in wanted.items() if text == AUTO]
        if not isinstance(configuration(one.overrides).weights, NoWeights):
            settled += [name for name in wanted if name.startswith(OF_WEIGHTS)]
        columns = recorded.drop(columns=settled, errors="ignore")
        same = (columns.isna() | columns.eq(columns.columns.map(wanted).to_numpy())).all(axis=1)
        if same.any():
            rows[value] = _with_courses({str(name): cell for name, cell in found[same].iloc[-1].items()})
    return pd.DataFrame(list(rows.values()), list(rows), None if rows else found.columns)


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
def configuration(overrides: tuple[str, ...]) -> RunConfig:
    """The configuration of a run, whose data may be on another machine."""
    return compose_config(list(overrides), to_run=False)


def parameters(overrides: tuple[str, ...]) -> dict[str, str]:
    """The configuration as a run's parameters in MLflow."""
    return {name: str(value)[:VALUE_LENGTH] for name, value in flatten(science(configuration(overrides))).items()}
