"""Compares the runs of a study: python scripts/compare.py STUDY [--baseline ARM] [--html report.html]"""

import argparse
from pathlib import Path

from alexnet_exp.cli import check_place, mistakes_in_one_line
from alexnet_exp.comparison import Question, compare_runs, write_report
from alexnet_exp.config.compose import compose_config
from alexnet_exp.errors import UserError
from alexnet_exp.evaluation.arms import RUN
from alexnet_exp.evaluation.tables import csv, latex, markdown, show
from alexnet_exp.tracking.query import open_experiment

FORMATS = {"csv": csv, "latex": latex, "markdown": markdown}


@mistakes_in_one_line()
def main() -> None:
    tracking = compose_config([]).tracking
    parser = argparse.ArgumentParser(description="Compare runs in MLflow: arms over seeds, or single runs.")
    parser.add_argument("study", nargs="?", metavar="STUDY", help="the tag `study` of the runs")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="only runs with this tag")
    parser.add_argument("--filter", metavar="FILTER", help="only runs that match an MLflow filter")
    parser.add_argument("--runs", nargs="+", default=[], metavar="ID", help="these runs, the first is the baseline")
    parser.add_argument(
        "--group-by", metavar="NAME", help=f"tag or parameter that names the arms (default: {Question.group_by})"
    )
    parser.add_argument(
        "--pair-by", default=Question.pair_by, metavar="NAME", help="tag or parameter that pairs runs of two arms"
    )
    parser.add_argument("--metric", default=Question.metric, metavar="NAME", help=f"default: {Question.metric}")
    parser.add_argument("--baseline", metavar="ARM", help="default: baseline, none, or the first by name")
    parser.add_argument("--uri", default=tracking.uri, help="the store, default: MLFLOW_TRACKING_URI or mlruns/")
    parser.add_argument("--experiment", default=tracking.experiment, metavar="NAME")
    for name in (*FORMATS, "html"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    run(arguments)


def run(arguments: argparse.Namespace) -> None:
    files = {name: path for name in (*FORMATS, "html") if (path := getattr(arguments, name))}
    for name, path in files.items():
        check_place(name, path)
    question = Question(
        study=arguments.study,
        tags=dict(map(_tag, arguments.tag)),
        run_ids=arguments.runs,
        filter=arguments.filter,
        group_by=arguments.group_by or (RUN if arguments.runs else Question.group_by),
        pair_by=arguments.pair_by,
        metric=arguments.metric,
        baseline=arguments.baseline,
    )
    experiment_id = open_experiment(arguments.uri, arguments.experiment)
    arms, comparison = compare_runs(experiment_id, question)
    show(comparison)
    for name, path in files.items():
        if name == "html":
            path.write_text(write_report(experiment_id, question, arms, comparison), encoding="utf-8")
        else:
            path.write_text(FORMATS[name](comparison), encoding="utf-8")
        print(f"written: {path}")


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"--tag: expected NAME=VALUE. Received: {text}")
    return name, value


if __name__ == "__main__":
    main()
