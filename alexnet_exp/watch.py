"""The runs of a study while it goes on: a live table on a terminal, a line for each change elsewhere."""

import time
from collections.abc import Callable
from datetime import datetime

import pandas as pd
from rich.console import Console
from rich.live import Live
from rich.table import Table

from alexnet_exp.console import headed_table
from alexnet_exp.evaluation.arms import SECONDS
from alexnet_exp.evaluation.compare import ACCURACY
from alexnet_exp.evaluation.tables import number, seconds
from alexnet_exp.tracking.query import read_curves

EVERY = 5.0  # seconds
RUNNING = "RUNNING"
VAL = "val/accuracy"


def watch(read: Callable[[], pd.DataFrame], console: Console) -> None:
    """Shows runs and what becomes of them until it is interrupted.

    Args:
      read: gives the runs as they are now, see `find_runs`.
      console: where; a table is kept up to date if that is a terminal.
    """
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(progress(read()), refresh=True)
                time.sleep(EVERY)
    known: dict[str, str] = {}
    while True:
        for line in changes(read(), known):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        time.sleep(EVERY)


def progress(runs: pd.DataFrame) -> Table:
    """How far each arm is, and below it the runs that are going on."""
    table = headed_table(datetime.now().strftime("%H:%M:%S"))
    for column in ("arm", "runs", "finished", "running", "other", "accuracy", "seconds"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    if runs.empty:
        return table
    curves = read_curves(runs.loc[runs["status"] == RUNNING, "run_id"], [VAL])
    for arm, some in runs.groupby("tags.arm"):
        states = some["status"].value_counts()
        finished, running = states.get("FINISHED", 0), states.get(RUNNING, 0)
        counts = [len(some), finished, running, len(some) - finished - running]
        means = number(_mean(some, f"metrics.{ACCURACY}")), seconds(_mean(some, SECONDS))
        table.add_row(str(arm), *map(str, counts), *means)
        for _, run in some[some["status"] == RUNNING].iterrows():
            course = curves.loc[curves["run_id"] == run["run_id"], "value"]
            last = number(course.iloc[-1]) if len(course) else number(float("nan"))
            since = seconds(time.time() - run["start_time"] / 1000)
            table.add_row(f"  seed {run['tags.seed']}, epoch {len(course)}, {VAL} {last}", "", "", "", "", "", since)
    return table


def changes(runs: pd.DataFrame, known: dict[str, str]) -> list[str]:
    """A line for each run whose status is not the one in `known`, which is brought up to date."""
    lines = []
    for _, run in runs.iterrows():
        if known.get(run["run_id"]) != run["status"]:
            known[run["run_id"]] = run["status"]
            result = number(run.get(f"metrics.{ACCURACY}", float("nan")))
            lines.append(
                f"{run['tags.arm']} seed {run['tags.seed']}  {run['status']}  {ACCURACY} {result}  {run['run_id']}"
            )
    return lines


def _mean(runs: pd.DataFrame, column: str) -> float:
    return float(runs[column].mean()) if column in runs else float("nan")
