"""Runs in MLflow compared: selected, sorted into arms, tested, and reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.errors import UserError
from alexnet_exp.evaluation.arms import RUN, Arms, sort_into_arms
from alexnet_exp.evaluation.compare import ACCURACY, Comparison, compare, of_single_runs
from alexnet_exp.evaluation.comparison_figures import MOST_ARMS
from alexnet_exp.evaluation.examples import missed_by_all, thumbnails
from alexnet_exp.evaluation.report import MOST_EXAMPLES, Evidence, drawings, html_report
from alexnet_exp.evaluation.tables import csv, latex, markdown
from alexnet_exp.tracking import query
from alexnet_exp.tracking.provenance import CONFIG
from alexnet_exp.tracking.report import log_comparison

RUNS_READ = 5  # of each arm, for the figures: each costs a few queries
CURVES = ("val/accuracy", "val/loss")
THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class Question:
    """Which runs are compared, and how; the options of scripts/compare.py.

    Attributes:
      study: the tag `study`.
      tags: further tags and their values.
      run_ids: these runs alone.
      filter: a further MLflow filter.
      group_by: the tag or parameter that names the arms, or `run`.
      pair_by: the tag or parameter that pairs the runs of two arms.
      metric: what is compared.
      baseline: an arm, see `compare`; with `run_ids` and `group_by="run"` the first run where None.
    """

    study: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    run_ids: Sequence[str] = ()
    filter: str | None = None
    group_by: str = "arm"
    pair_by: str = "seed"
    metric: str = ACCURACY
    baseline: str | None = None


def compare_runs(experiment_id: str, question: Question) -> tuple[Arms, Comparison]:
    """Selects runs of an experiment and compares their arms. Reads predictions only between a few single runs.

    Raises:
      UserError: when the selection is empty, or a name is in none of its runs.
    """
    selection = (question.study, question.tags, question.run_ids, question.filter)
    found = query.find_study(experiment_id, *selection)
    if found.empty:
        wanted = query.run_filter(*selection)
        raise UserError(f"expected runs to compare. Received: none with {wanted or 'this experiment'}")
    if missing := sorted(set(question.run_ids) - set(found["run_id"])):
        raise UserError(f"--runs: expected ids of runs in the experiment. Received: {', '.join(missing)}")
    return compare_found(found, question)


def compare_found(found: pd.DataFrame, question: Question) -> tuple[Arms, Comparison]:
    """Compares the arms of runs that are selected already, as `query.find_runs` gives them."""
    arms = sort_into_arms(found, question.group_by, question.pair_by, question.metric)
    baseline = question.baseline
    if baseline is None and question.group_by == RUN and question.run_ids:
        first = arms.runs.loc[arms.runs["run_id"] == question.run_ids[0], "arm"]
        baseline = next(iter(first), None)
    predictions = query.read_predictions(arms.runs["run_id"]) if of_single_runs(arms) else None
    return arms, compare(arms, baseline, predictions)


def write_report(experiment_id: str, question: Question, arms: Arms, comparison: Comparison) -> str:
    """Makes the HTML report, logs it with tables and figures to MLflow as a run tagged `kind=report`; returns it."""
    name = question.study or question.filter or ", ".join([f"{k}={v}" for k, v in question.tags.items()]) or "runs"
    subtitle = (
        f"{len(arms.runs)} runs in {len(comparison.arms)} arms by {arms.by}; {comparison.metric}; "
        f"baseline {comparison.baseline}"
    )
    evidence = _evidence(experiment_id, arms, comparison)
    drawn = drawings(comparison, arms, evidence)
    page = html_report(comparison, arms, evidence, drawn, name, subtitle)
    tags = {"metric": comparison.metric, "baseline": comparison.baseline, "group_by": arms.by}
    tags |= {"study": question.study} if question.study else {}
    tables = {"csv": csv(comparison), "tex": latex(comparison), "md": markdown(comparison)}
    files = {"report.html": page} | {f"comparison.{suffix}": text for suffix, text in tables.items()}
    files |= {f"{figure}.svg": text for figure, text in drawn.items()}
    log_comparison(experiment_id, f"report-{name}", tags, files)
    return page


def _evidence(experiment_id: str, arms: Arms, comparison: Comparison) -> Evidence:
    """Reads curves and predictions of the first runs of the baseline and the best arms."""
    order = [comparison.baseline, *comparison.effects.index][:MOST_ARMS]
    shown = [arm for arm in comparison.arms.index if arm in order]
    runs = arms.runs[arms.runs["arm"].isin(shown)].groupby("arm").head(RUNS_READ)
    by_epoch = runs[runs["metrics.svm/c"].isna()] if "metrics.svm/c" in runs else runs  # an SVM has no epochs
    curves = query.read_curves(by_epoch["run_id"], [name for name in CURVES if f"metrics.{name}" in runs])
    curves = curves.merge(runs[["run_id", "arm"]], on="run_id").sort_values("step", kind="stable")
    curves = curves.sort_values("arm", key=lambda column: column.map(shown.index), kind="stable")
    stored = query.read_predictions(runs["run_id"])
    predictions = {
        arm: tables
        for arm in shown
        if (tables := [stored[run_id] for run_id in runs.loc[runs["arm"] == arm, "run_id"] if run_id in stored])
    }
    return Evidence(
        arms=shown,
        runs_an_arm=RUNS_READ,
        curves=curves,
        predictions=predictions,
        class_names={arm: _class_names(runs, arm, tables[0]) for arm, tables in predictions.items()},
        images=_images(runs["run_id"].iloc[0], predictions) if predictions else {},
        addresses={run_id: query.run_address(experiment_id, run_id) for run_id in arms.runs["run_id"]},
    )


def _class_names(runs: pd.DataFrame, arm: str, predictions: pd.DataFrame) -> list[str]:
    classes = len(predictions["probabilities"].iloc[0])
    return query.read_class_names(runs.loc[runs["arm"] == arm, "run_id"].iloc[0], classes)


def _images(run_id: str, predictions: Mapping[str, list[pd.DataFrame]]) -> dict[str, np.ndarray]:
    config = query.read_yaml(run_id, CONFIG)
    ids = missed_by_all(predictions)["id"].head(MOST_EXAMPLES).tolist()
    if not config or not ids:
        return {}
    return thumbnails(TypeAdapter(DatasetConfig).validate_python(config["dataset"]), ids, THUMBNAIL)
