"""A run once more, from what it has recorded: what has changed since, and which metrics came out otherwise."""

import logging
from dataclasses import dataclass

from alexnet_exp.config import RunConfig, config_from, to_dict
from alexnet_exp.errors import UserError
from alexnet_exp.run import run
from alexnet_exp.tracking.provenance import CONFIG, OVERRIDES, changes, code_tags, packages, provenance
from alexnet_exp.tracking.query import find_run, read_yaml

log = logging.getLogger(__name__)
STUDY = "repeats"  # its arms are the ids of the repeated runs: in its own study a run would count twice
FILES = (("dataset", "root"), ("weights", "path"))  # may lie in `paths.data`


@dataclass(frozen=True)
class Repetition:
    """The id of the new run, and how many metrics were compared and came out otherwise: (before, after) by name."""

    run_id: str
    compared: int
    different: dict[str, tuple[float | None, float | None]]


def repeat(run_id: str, here: RunConfig) -> Repetition:
    """Runs a recorded configuration again as a new run, and warns of what is no longer as it was recorded.

    Args:
      run_id: of a finished run.
      here: says where this machine keeps data, caches and runs.

    Raises:
      UserError: when there is no such run, it did not finish, or its configuration is not one of this version.
    """
    original = find_run(run_id)
    if original.info.status != "FINISHED":
        raise UserError(f"expected a finished run. Received: {run_id}, {original.info.status}")
    then = provenance(run_id)
    known = code_tags() | packages()  # before hours of training; the rest is known after them
    _warn(changes(then, known))
    result = run(recorded_config(run_id, here), read_yaml(run_id, OVERRIDES) or [])
    now = provenance(result.run_id)
    _warn(changes(then, {name: value for name, value in now.items() if name not in known}))
    before, after = (_without_times(one.data.metrics) for one in (original, find_run(result.run_id)))
    names = sorted(before.keys() | after.keys())
    different = {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
    return Repetition(result.run_id, len(names), different)


def recorded_config(run_id: str, here: RunConfig) -> RunConfig:
    """The configuration of a run, with the folders and the store of this machine."""
    recorded = read_yaml(run_id, CONFIG)
    if recorded is None:
        raise UserError(f"expected a run with the artifact {CONFIG}. Received: {run_id}")
    data = f"{recorded['paths']['data']}/"
    for group, name in FILES:
        place = str(recorded[group].get(name))
        if place.startswith(data):
            recorded[group][name] = f"{here.paths.data}/{place.removeprefix(data)}"
    recorded["paths"], recorded["tracking"] = to_dict(here.paths), to_dict(here.tracking)
    recorded["run"] |= {"study": STUDY, "arm": run_id, "if_exists": "rerun"}
    return config_from(recorded)


def _warn(lines: list[str]) -> None:
    for line in lines:
        log.warning("%s", line)


def _without_times(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}
