"""Runs sorted into the arms of a study: what counts, what does not and why, and what differs between the arms."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alexnet_exp.errors import UserError

TAGS, PARAMS, METRICS = "tags.", "params.", "metrics."  # MLflow's names of the columns of a search
SECONDS = "metrics.time/total_seconds"
RUN = "run"  # groups by the run itself
UNSET = "none"  # the arm of runs without the tag or parameter
ABSENT = "-"
INFINITE = 1e308  # MLflow stores infinity as the largest float
LISTED = 12  # names in one message


@dataclass(frozen=True)
class Arms:
    """The runs that count.

    Attributes:
      runs: a row for each: `arm`, `seed`, `value` of the metric, `seconds`, and the columns of the search.
      by: the tag or parameter that names the arms.
      unit: the tag or parameter that pairs runs of different arms, as a rule the seed.
      metric: the metric that `value` holds.
      notes: what was left out or merged, a sentence each.
    """

    runs: pd.DataFrame
    by: str
    unit: str
    metric: str
    notes: tuple[str, ...]


def sort_into_arms(found: pd.DataFrame, by: str, unit: str, metric: str) -> Arms:
    """Keeps the finished runs with a finite metric, and of repetitions with the same fingerprint the latest.

    Args:
      found: runs as MLflow's search gives them: `run_id`, `status`, `start_time`, `tags.*`, `params.*`, `metrics.*`.
      by: name of a tag or a parameter, or `run`: every run is an arm of its own.
      unit: name of a tag or a parameter.
      metric: name of a metric.

    Raises:
      UserError: when no run is left, or a name is in none of the runs.
    """
    if found.empty:
        raise UserError("expected runs to compare. Received: a selection without any")
    arm, seed = _setting(found, "--group-by", by), _setting(found, "--pair-by", unit)
    if METRICS + metric not in found:
        options = [name.removeprefix(METRICS) for name in map(str, found) if name.startswith(METRICS)]
        raise UserError(f"--metric: expected a metric of the runs. Options: {listed(options, 60)}. Received: {metric}")
    value = found[METRICS + metric].astype(float)
    seconds = found[SECONDS].astype(float) if SECONDS in found else np.nan
    runs = found.assign(arm=arm, seed=seed, value=value, seconds=seconds)

    notes = []
    finished = runs["status"] == "FINISHED"
    if not finished.all():
        counts = runs.loc[~finished, "status"].value_counts()
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        notes.append(f"not counted: {states} (arms {listed(sorted(set(arm[~finished])))})")
    finite = np.isfinite(value) & (value.abs() < INFINITE)
    if (finished & ~finite).any():
        arms = listed(sorted(set(arm[finished & ~finite])))
        notes.append(f"not counted: {(finished & ~finite).sum()} finished without a finite {metric} (arms {arms})")
    runs = runs[finished & finite]
    if runs.empty:
        raise UserError(f"expected a finished run with {metric}. Received: {'; '.join(notes)}")
    runs, more = _without_repetitions(runs)
    return Arms(runs.reset_index(drop=True), by, unit, metric, (*notes, *more))


def config_differences(arms: Arms) -> pd.DataFrame:
    """The parameters whose values are not the same in all arms: a row for each, a column for each arm.

    Parameters that follow the seed differ within every arm and are left out.
    """
    runs = arms.runs
    names = [name for name in map(str, runs) if name.startswith(PARAMS) and name != PARAMS + arms.unit]
    values = runs[names].astype(object).where(runs[names].notna(), ABSENT).astype(str)
    values = values[[name for name in names if values[name].nunique() > 1 and (values[name] != runs["seed"]).any()]]
    cells = values.groupby(runs["arm"]).agg(_values)
    cells = cells.loc[:, cells.nunique() > 1]
    return cells.rename(columns=lambda name: name.removeprefix(PARAMS)).rename_axis(index=None).T


def by_images(arms: Arms) -> pd.DataFrame:
    """`strategy`, `images` a class to learn from, and `value` of the runs whose data was limited; may be empty."""
    columns = {"tags.strategy": "strategy", "params.dataset.limit_per_class": "images", "value": "value"}
    found = arms.runs.reindex(columns=list(columns)).rename(columns=columns)
    found["images"] = pd.to_numeric(found["images"], errors="coerce")
    return found.dropna().astype({"images": int})


def listed(names: Iterable[object], most: int = LISTED) -> str:
    """Names in one line, the first `most` of them."""
    words = [str(name) for name in names]
    rest = f", and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest


def _values(some: pd.Series) -> str:
    return ", ".join(sorted(set(some)))


def _setting(found: pd.DataFrame, option: str, name: str) -> pd.Series:
    """A tag or a parameter of each run, as text; `run` is the run itself."""
    if name == RUN:
        return found["name"] + " " + found["run_id"].str[:8]
    for column in (TAGS + name, PARAMS + name):
        if column in found and found[column].notna().any():
            return found[column].astype(object).where(found[column].notna(), UNSET).astype(str)
    known = [
        column
        for column in map(str, found)
        if column.startswith((TAGS, PARAMS)) and not column.startswith("tags.mlflow.")
    ]
    options = sorted({column.partition(".")[2] for column in known if found[column].nunique() > 1})
    raise UserError(
        f"{option}: expected a tag or parameter of the runs. Options that vary: {listed(options, 60) or UNSET}. "
        f"Received: {name}"
    )


def _without_repetitions(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Of the runs with one arm, seed and fingerprint the latest counts; what else shares arm and seed is reported."""
    notes = []
    runs = runs.sort_values("start_time", kind="stable")
    fingerprint = runs.get("tags.fingerprint", pd.Series(None, index=runs.index)).astype(object)
    known = fingerprint.where(fingerprint.notna(), runs["run_id"])  # without a fingerprint nothing repeats anything
    repeated = pd.DataFrame({"arm": runs["arm"], "seed": runs["seed"], "fingerprint": known}).duplicated(keep="last")
    if repeated.any():
        notes.append(f"not counted: {repeated.sum()} repeated later with the same fingerprint")
    runs = runs[~repeated]
    mixed = runs.duplicated(["arm", "seed"], keep=False)
    if mixed.any():
        notes.append(
            f"arms {listed(sorted(set(runs.loc[mixed, 'arm'])))} mix configurations: "
            "runs of one arm and seed are averaged, n counts seeds"
        )
    return runs, notes
