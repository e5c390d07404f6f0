"""Looks after runs.

python scripts/runs.py list [STUDY]     every run with its status; stale: it says RUNNING, but has no process
python scripts/runs.py watch STUDY      how far the arms of a study are, and what runs; until Ctrl-C
python scripts/runs.py stale            ends the stale ones as KILLED
python scripts/runs.py resume STUDY     resumes what has not finished in a study, one run after the other
python scripts/runs.py clean            removes the journals, checkpoints and caches that no run needs any more
python scripts/runs.py sync             delivers what a tracking store has missed while it was away
python scripts/runs.py promote RUN_ID --name NAME    makes its model the champion of a name unless that one is better
python scripts/runs.py repeat RUN_ID    runs its configuration again, warns of what has changed, compares the metrics
"""

import argparse
import logging
import os
import signal
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
from rich.console import Console

from alexnet_exp.checksums import remove_hashed
from alexnet_exp.cli import message, mistakes_in_one_line, terminate
from alexnet_exp.config import RunConfig, config_from
from alexnet_exp.config.compose import compose_config
from alexnet_exp.console import headed_table, silent_stderr, standard_output
from alexnet_exp.tracking.delivery import sync
from alexnet_exp.tracking.query import open_existing, open_experiment
from alexnet_exp.tracking.registry import promote
from alexnet_exp.tracking.upkeep import (
    end_stale,
    list_runs,
    needed_since,
    remove_needless,
    stale_runs,
    unfinished,
)
from alexnet_exp.training.activation_store import activation_store
from alexnet_exp.watch import watch

COLUMNS = {
    "run": "run_id",
    "study": "tags.study",
    "arm": "tags.arm",
    "seed": "tags.seed",
    "status": "status",
    "accuracy": "metrics.test/accuracy",
    "failure": "tags.failure",
}


@mistakes_in_one_line()
def main() -> None:
    config = compose_config([])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    state = Path(config.paths.state)
    commands = parser.add_subparsers(required=True)
    for name, run in {
        "list": show,
        "watch": follow,
        "stale": end_all_stale,
        "resume": resume,
        "clean": clean,
        "sync": deliver,
    }.items():
        command = commands.add_parser(name)
        command.add_argument("--state", type=Path, default=state, help="folder of journals (%(default)s)")
        if name in ("list", "watch", "resume"):
            command.add_argument("study", nargs="?" if name == "list" else None)
        command.set_defaults(run=run)
    command = commands.add_parser("promote")
    command.add_argument("run_id", metavar="RUN_ID")
    command.add_argument("--name", required=True, help="of the registered model")
    command.add_argument("--force", action="store_true", help="also when the champion is better")
    command.set_defaults(run=promote_run, state=state)
    command = commands.add_parser("repeat")
    command.add_argument("run_id", metavar="RUN_ID")
    command.set_defaults(run=repeat_run, state=state)
    arguments = parser.parse_args()
    arguments.state = arguments.state.absolute()
    sys.exit(arguments.run(arguments, config))


def show(arguments: argparse.Namespace, config: RunConfig) -> None:
    runs = list_runs(_experiment(config), arguments.state, arguments.study)
    if runs.empty:
        print(f"no runs in study {arguments.study}" if arguments.study else "no runs")
        return
    table = headed_table(f"study {arguments.study}" if arguments.study else "all runs")
    for column in ("started", *COLUMNS):
        table.add_column(column, no_wrap=column in ("started", "run", "status"), overflow="fold")
    for _, run in runs.iterrows():
        started = datetime.fromtimestamp(run["start_time"] / 1000).strftime("%m-%d %H:%M")
        table.add_row(started, *(_text(run.get(column)) for column in COLUMNS.values()))
    standard_output().print(table)
    print(", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items()))


def follow(arguments: argparse.Namespace, config: RunConfig) -> None:
    experiment_id = _experiment(config)
    if list_runs(experiment_id, arguments.state, arguments.study).empty:
        print(f"no runs in study {arguments.study} so far", file=sys.stderr)
    watch(lambda: list_runs(experiment_id, arguments.state, arguments.study), Console())


def end_all_stale(arguments: argparse.Namespace, config: RunConfig) -> None:
    stale = stale_runs(_experiment(config), arguments.state, None)
    for run_id in stale:
        end_stale(run_id, arguments.state)
        print(f"{run_id}  ended")
    print(f"{len(stale)} stale runs")


def resume(arguments: argparse.Namespace, config: RunConfig) -> int:
    found = unfinished(arguments.state, arguments.study)
    if not found:
        print(f"nothing to resume in study {arguments.study}, {arguments.state}")
        return 0
    _log_to_terminal()
    with silent_stderr():
        from alexnet_exp.run import run
    failures = 0
    for run_id, settings in found.items():
        settings["run"]["if_exists"] = "reuse"
        settings["tracking"]["uri"] = config.tracking.uri
        places = replace(config.paths, state=str(arguments.state))
        try:
            run(replace(config_from(settings, to_run=False), paths=places), [])
        except Exception as error:  # one run that fails does not hold up the others; its traceback is in its log
            failures += 1
            print(f"{run_id}  {message(error)}", file=sys.stderr)
    print(f"{len(found) - failures} of {len(found)} runs finished")
    return int(failures > 0)


def clean(arguments: argparse.Namespace, config: RunConfig) -> None:
    for folder in remove_needless(_experiment(config), arguments.state):
        print(f"removed {folder}")
    cache, since = Path(config.paths.cache), needed_since(arguments.state)
    store = activation_store(config.cache, config.paths)
    before = len(store.entries())
    store.clear(since)
    print(f"removed {before - len(store.entries())} of {before} activations in {cache}")
    if not any(arguments.state.glob("*/journal.jsonl")):
        print(f"removed {remove_hashed(cache / 'images')} sets of decoded images in {cache}")


def deliver(arguments: argparse.Namespace, config: RunConfig) -> int:
    deliveries = sync(arguments.state, config.tracking.uri)
    for delivery in deliveries:
        print(f"{delivery.run_id}  {delivery.problem or 'delivered'}")
    if not deliveries:
        print(f"nothing to deliver in {arguments.state}")
    return int(any(delivery.problem for delivery in deliveries))


def promote_run(arguments: argparse.Namespace, config: RunConfig) -> None:
    open_existing(config.tracking.uri)
    promotion = promote(arguments.run_id, arguments.name, arguments.force)
    instead = f", instead of run {promotion.before}" if promotion.before not in (None, arguments.run_id) else ""
    print(f"{promotion.address} is version {promotion.version}, run {arguments.run_id}{instead}")


def repeat_run(arguments: argparse.Namespace, config: RunConfig) -> int:
    """Returns the exit code: 1 when a metric came out otherwise."""
    _log_to_terminal()
    open_existing(config.tracking.uri)
    with silent_stderr():
        from alexnet_exp.repetition import repeat

    repetition = repeat(arguments.run_id, config)
    for name, (before, after) in repetition.different.items():
        print(f"{name}: {before} in run {arguments.run_id}, {after} in run {repetition.run_id}")
    same = repetition.compared - len(repetition.different)
    print(f"{same} of {repetition.compared} metrics came out the same to the last bit, run {repetition.run_id}")
    return int(bool(repetition.different))


def _log_to_terminal() -> None:
    signal.signal(signal.SIGTERM, terminate)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("alexnet_exp").setLevel(logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _experiment(config: RunConfig) -> str:
    return open_experiment(config.tracking.uri, config.tracking.experiment)


def _text(value: str | float | None) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
