"""Claims beside what was measured, as Markdown."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.geometry import output_sizes
from alexnet_exp.config.layer_table import layer_table
from alexnet_exp.evaluation.paired import rounding
from reproduction.claims import Claim, accuracy
from reproduction.store import Plan

COLUMNS = (
    "system", "what", "claimed", "measured", "std", "n", "95 % interval", "claim", "protocol differences",
    "time of a run", "command",
)  # fmt: skip
NUMBERS = ("measured", "std", "n", "time of a run")
REACHED, WITHIN, MISSED = "reached", "within the interval", "not reached"
NOT_YET = "not measured yet"
NONE = "-"


@dataclass(frozen=True)
class Measured:
    """What some values amount to; NaN for what they cannot give."""

    mean: float
    std: float
    n: int
    low: float
    high: float


def measured(values: pd.Series, runs: pd.DataFrame) -> Measured:
    """Mean and 95 % interval: over several values Student's, of accuracies within 0..1; of one Wilson's over images."""
    n, mean = len(values), float(values.mean())
    is_accuracy = values.equals(accuracy(runs))
    if n == 1 and is_accuracy:
        (run,) = (row for _, row in runs.iterrows())
        return Measured(mean, np.nan, 1, run["metrics.test/accuracy_low"], run["metrics.test/accuracy_high"])
    std = float(values.std())
    if n == 1 or std <= rounding(abs(mean)):
        return Measured(mean, std, n, np.nan, np.nan)
    low, high = stats.t.interval(0.95, n - 1, mean, std / np.sqrt(n))
    if is_accuracy:
        low, high = max(low, 0.0), min(high, 1.0)
    return Measured(mean, std, n, low, high)


def verdict(claim: Claim, found: Measured) -> str:
    """Whether the mean reaches the claim, or the claim is at least within the interval; none without an interval."""
    if claim.value is None or np.isnan(found.high):
        return NONE
    return REACHED if found.mean >= claim.value else WITHIN if found.high >= claim.value else MISSED


def row(
    claim: Claim, plans: Mapping[str, Plan], runs: Mapping[str, pd.DataFrame], failed: Mapping[str, str]
) -> list[str]:
    """The cells of one claim."""
    commands = "<br>".join(f"`alexnet-exp {shlex.join(plans[name].command)}`" for name in claim.arms)
    head, tail = [claim.system, claim.what, claim.claimed], [claim.differences]
    if any(runs[name].empty for name in claim.arms):
        cause = "; ".join(f"failed: {failed[name]}" for name in claim.arms if name in failed) or NOT_YET
        return [*head, cause, NONE, NONE, NONE, NONE, *tail, NONE, commands]
    some = [runs[name] for name in claim.arms]
    values = claim.measure(*some).dropna()
    seconds = pd.concat(some)["metrics.time/total_seconds"]
    time = duration(seconds.mean())
    if values.empty:
        return [*head, "no pair of runs got there", NONE, "0", NONE, MISSED, *tail, time, commands]
    found = measured(values, some[0])
    interval = NONE if np.isnan(found.low) else f"{figure(found.low)} to {figure(found.high)}"
    return [
        *head,
        figure(found.mean),
        figure(found.std),
        str(found.n),
        interval,
        verdict(claim, found),
        *tail,
        time,
        commands,
    ]


def facts() -> list[list[str]]:
    """The rows that take no training: sizes and parameters of the networks."""
    rows = []
    for system, model, classes, claimed in (
        ("R3", "alexnet_fc8", 2, "62,380,346 parameters"),
        ("R5", "alexnet_2012", 1000, "60 million parameters, 650,000 neurons"),
    ):
        layers = layer_table(compose_config([f"model={model}"]).model, classes)
        parameters = sum(layer.parameters for layer in layers)
        neurons = sum(layer.neurons for layer in layers)
        text = f"{parameters:,} parameters, {neurons:,} neurons"
        command = f"model={model} --classes {classes}"
        rows.append(_fact(system, f"size of `{model}`, {classes} classes", claimed, text, command))
    sizes = output_sizes(compose_config(["model=alexnet"]).model)
    published = "55, 27, 27, 13, 13, 13, 13, 6"
    rows.append(
        _fact(
            "R5",
            "heights of the outputs of conv1 to pool5",
            published,
            ", ".join(map(str, sizes.values())),
            "model=alexnet",
        )
    )
    return rows


def markdown(rows: list[list[str]], title: str, introduction: str) -> str:
    """The page."""
    rule = ["---:" if column in NUMBERS else "---" for column in COLUMNS]
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in (list(COLUMNS), rule, *rows)]
    return f"# {title}\n\n{introduction}\n\n" + "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """Three decimals, without a sign of zero; a dash where there is none."""
    return NONE if np.isnan(value) else f"{value:z.3f}"


def duration(seconds: float) -> str:
    """In seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _fact(system: str, what: str, claimed: str, text: str, words: str) -> list[str]:
    return [system, what, claimed, text, NONE, NONE, NONE, NONE, "none", NONE, f"`python scripts/describe.py {words}`"]
