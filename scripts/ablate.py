"""Runs an ablation study of conf/ablation and compares its arms: python scripts/ablate.py STUDY [--seeds N] [overrides]

What has finished already is not run again: the same command goes on where it was stopped.
"""

import argparse
import shlex
import sys
from pathlib import Path

import pandas as pd

from alexnet_exp.ablation import (
    Job,
    at_once,
    command_lines,
    count_in_study,
    default_jobs,
    finished_jobs,
    runs_alike,
    unfinished_jobs,
)
from alexnet_exp.cli import check_place, launch, mistakes_in_one_line
from alexnet_exp.comparison import Question, compare_found, write_report
from alexnet_exp.config.study import Study, arms_of, compose_study, studies
from alexnet_exp.console import headed_table, standard_output
from alexnet_exp.errors import UserError
from alexnet_exp.estimate import estimate
from alexnet_exp.evaluation.tables import show
from alexnet_exp.sweep import show_failures
from alexnet_exp.tracking.store import open_store


@mistakes_in_one_line()
def main() -> None:
    parser = argparse.ArgumentParser(description="Run an ablation study and compare its arms.")
    parser.add_argument("study", metavar="STUDY", help=", ".join(studies()))
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="Hydra's, for every arm: dataset=cifar10")
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="each arm runs with seeds 0 to N-1 (%(default)s)"
    )
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="these alone")
    parser.add_argument(
        "--jobs",
        type=int,
        default=default_jobs(),
        metavar="N",
        help="run at once, on a part of the cores (%(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, run nothing")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the report (default: multirun/STUDY.html)")
    arguments = parser.parse_intermixed_args()
    again = shlex.join(["python", *sys.argv])
    try:
        sys.exit(run(arguments, again))
    finally:
        show_failures(again)


def run(arguments: argparse.Namespace, again: str) -> int:
    if arguments.html:
        check_place("html", arguments.html)
    study = planned(arguments)
    settings = study.arms[0].config
    experiment_id = open_store(settings.tracking.uri, settings.tracking.experiment)
    alike = runs_alike(experiment_id, study)
    finished = finished_jobs(study, alike)
    todo = unfinished_jobs(study, finished if settings.run.if_exists == "reuse" else finished.head(0))
    show_plan(study, todo, finished, alike)
    if arguments.dry_run:
        return 0
    count_in_study(study, alike)
    run_jobs(study, todo, at_once(min(arguments.jobs, len(todo)), study.overrides))

    finished = finished_jobs(study, runs_alike(experiment_id, study))
    left = unfinished_jobs(study, finished)
    if len(finished):
        question = Question(study=settings.run.study)
        arms, comparison = compare_found(finished, question)
        show(comparison)
        html = arguments.html or Path("multirun") / f"{study.name}.html"
        html.parent.mkdir(exist_ok=True)
        html.write_text(write_report(experiment_id, question, arms, comparison), encoding="utf-8")
        print(f"written: {html}")
    if left:
        print(f"not finished: {len(left)} of {sum(len(arm.jobs) for arm in study.arms)}; go on with: {again}")
    return int(bool(left))


def planned(arguments: argparse.Namespace) -> Study:
    options = arms_of(arguments.study)
    for name in ("seeds", "jobs"):
        if (number := getattr(arguments, name)) < 1:
            raise UserError(f"--{name}: expected at least 1. Received: {number}")
    named = arguments.arms or []
    overrides = [*arguments.overrides, *(word for word in named if "=" in word)]  # `--arms ARM ... x=1` is natural
    arms = [word for word in named if "=" not in word]
    if unknown := [arm for arm in arms if arm not in options]:
        raise UserError(
            f"--arms: expected arms of {arguments.study}. Options: {', '.join(options)}. Received: {unknown[0]}"
        )
    return compose_study(arguments.study, arms or options, range(arguments.seeds), overrides)


def show_plan(study: Study, todo: list[Job], finished: pd.DataFrame, alike: pd.DataFrame) -> None:
    table = headed_table(f"study {study.name}")
    for column in ("arm", "finished", "to run", "seconds each", "estimated from"):
        table.add_column(column, justify="left" if column in ("arm", "estimated from") else "right", overflow="fold")
    seconds = megabytes = 0.0
    for arm in study.arms:
        lacking = sum(option == arm.option for _, option in todo)
        own = finished[finished["job"].isin(arm.jobs.values())]
        expected = estimate(arm.config, own, alike)
        table.add_row(
            arm.option, str(len(arm.jobs) - lacking), str(lacking), f"{expected.seconds:.0f}", expected.source
        )
        seconds, megabytes = seconds + lacking * expected.seconds, megabytes + lacking * expected.megabytes
    standard_output().print(table)
    duration = f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    print(f"{len(todo)} to run: about {duration} one after the other, {megabytes:.0f} MB of results")


def run_jobs(study: Study, todo: list[Job], launcher: list[str]) -> None:
    """Through Hydra; without a launcher in this process: a signal reaches the job, and TensorFlow is imported once."""
    kept = sys.argv
    try:
        for arguments in command_lines(study, todo):
            sys.argv = ["alexnet-exp", *arguments, *launcher]
            print(f"$ {shlex.join(sys.argv)}", flush=True)
            if isinstance(said := launch(), str):
                sys.stderr.write(f"{said}\n")
    finally:
        sys.argv = kept


if __name__ == "__main__":
    main()
