"""The statistics of a study: each arm over its seeds, and its difference to a baseline, paired by seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from alexnet_exp.errors import UserError
from alexnet_exp.evaluation.arms import Arms, listed
from alexnet_exp.evaluation.paired import CONFIDENCE, Effect, over_examples, over_seeds, rounding

ACCURACY = "test/accuracy"
ALPHA = 1 - CONFIDENCE
FEWEST_PAIRS = 3  # two leave the t test one degree of freedom
MOST_SINGLE_RUNS = 20  # whose predictions are read
LOWER_IS_BETTER = ("loss", "ece", "seconds", "parameters")
BASELINES = ("baseline", "none")  # taken where the user names none
BASELINE_TAG = "tags.baseline"
SEVERAL = "its baseline"
BETTER, WORSE, NOT_SHOWN, TOO_SMALL = "better", "worse", "not shown", "n too small"
ALONE = "one run an arm: the test examples tell these networks apart, not the settings; for that it takes several seeds"


@dataclass(frozen=True)
class Comparison:
    """What can be said about the arms of a study.

    Attributes:
      metric: what is compared.
      baseline: the arm that the others are compared with; `its baseline` where they have several.
      unit: what pairs the arms, as a rule `seed`; `test example` between single runs.
      arms: a row for each arm, best mean first, see `summarize`.
      effects: a row for each other arm in the same order: its `baseline`, `pairs`, `difference` with its interval `low`
        and `high`, `p`, `p_holm`, `shows` (where none is shown: the smallest difference that would be significant with
        these pairs and this spread, at Holm's strictest level) and `verdict`. What the pairs cannot give is NaN.
      notes: what a reader must know to read the numbers, a sentence each.
    """

    metric: str
    baseline: str
    unit: str
    arms: pd.DataFrame
    effects: pd.DataFrame
    notes: tuple[str, ...]


def compare(
    arms: Arms, baseline: str | None = None, predictions: Mapping[str, pd.DataFrame] | None = None
) -> Comparison:
    """Compares the arms of a study with its baseline.

    Over seeds: Student's t interval of each arm, paired t test and interval of the difference. Between single runs:
    McNemar's exact test and a paired bootstrap interval over the test examples. p values are corrected by Holm (1979).

    Args:
      arms: the runs that count.
      baseline: an arm; None takes those that the runs are tagged with, else `baseline` or `none` where there is such an
        arm, else the first by name.
      predictions: of single runs (see `of_single_runs`), by run id: `id`, `label`, `prediction` of each test example.

    Raises:
      UserError: when there is no such arm.
    """
    lower_is_better = any(word in arms.metric for word in LOWER_IS_BETTER)
    table = summarize(arms.runs, lower_is_better)
    names = sorted(table.index)
    if baseline is not None and baseline not in names:
        raise UserError(f"--baseline: expected an arm. Options: {listed(names, 60)}. Received: {baseline}")
    baseline_of = dict.fromkeys(names, baseline) if baseline else _baselines(arms.runs, names)
    baselines = sorted(set(baseline_of.values()))
    baseline = baselines[0] if len(baselines) == 1 else SEVERAL
    others = [name for name in table.index if name != baseline_of[name]]
    pairs = {name: baseline_of[name] for name in others}
    if predictions is None:
        effects, notes = _effects_over_seeds(arms.runs, arms.unit, pairs)
    else:
        effects, notes = _effects_over_examples(arms.runs, pairs, predictions)
    rows = _verdicts(pd.DataFrame([asdict(effect) for effect in effects], index=others), lower_is_better)
    rows.insert(0, "baseline", pd.Series(pairs, dtype=str))
    if flat := [name for name, row in table.iterrows() if row["n"] > 1 and np.isnan(row["low"])]:
        notes.append(f"the same {arms.metric} for every {arms.unit}, so no interval: {listed(flat)}")
    if small := [name for name in others if rows["verdict"][name] == TOO_SMALL]:
        notes.append(
            f"n is too small to tell from {baseline}: {listed(small)}; a verdict needs {FEWEST_PAIRS} pairs, "
            "and five show more"
        )
    unit = arms.unit if predictions is None else "test example"
    return Comparison(arms.metric, baseline, unit, table, rows, (*arms.notes, *notes))


def of_single_runs(arms: Arms) -> bool:
    """Whether stored predictions can tell the arms apart: one run for each of a few arms, compared by test accuracy."""
    return arms.metric == ACCURACY and arms.runs["arm"].is_unique and 1 < len(arms.runs) <= MOST_SINGLE_RUNS


def summarize(runs: pd.DataFrame, lower_is_better: bool = False) -> pd.DataFrame:
    """One row for each arm, best mean first.

    Args:
      runs: a row for each run with `arm`, `seed`, `value` and `seconds`; runs of one arm and seed are averaged.
      lower_is_better: whether `value` is a cost.

    Returns:
      `n` seeds, `mean`, `std`, the 95 % t interval of the mean as `low` and `high`, the `best` run and mean `seconds`.
      What one seed or equal values cannot give is NaN.
    """
    over_seeds = runs.groupby(["arm", "seed"])["value"].mean().groupby("arm")
    groups = runs.groupby("arm")
    table = pd.DataFrame({"n": over_seeds.size(), "mean": over_seeds.mean(), "std": over_seeds.std(ddof=1)})
    spread = table["std"].where(table["std"] > table["mean"].abs().map(rounding))
    table["low"], table["high"] = stats.t.interval(
        CONFIDENCE, np.maximum(table["n"] - 1, 1), table["mean"], spread / np.sqrt(table["n"])
    )
    table["best"] = groups["value"].min() if lower_is_better else groups["value"].max()
    table["seconds"] = groups["seconds"].mean()
    return table.sort_values("mean", ascending=lower_is_better, kind="stable")


def _baselines(runs: pd.DataFrame, names: list[str]) -> dict[str, str]:
    """The baseline of each arm: what its runs are tagged with, or one for all where a tag names no arm."""
    if BASELINE_TAG in runs:
        tagged = {str(arm): str(baseline) for arm, baseline in runs.groupby("arm")[BASELINE_TAG].last().items()}
        if set(tagged.values()) <= set(names):
            return tagged
    return dict.fromkeys(names, next((name for name in BASELINES if name in names), names[0]))


def _effects_over_seeds(
    runs: pd.DataFrame, unit: str, baseline_of: Mapping[str, str]
) -> tuple[list[Effect], list[str]]:
    wide = runs.pivot_table(index="seed", columns="arm", values="value", aggfunc="mean")
    effects, notes = [], []
    for arm, baseline in baseline_of.items():
        both = wide[[arm, baseline]].dropna()
        effects.append(over_seeds(both[arm].to_numpy(), both[baseline].to_numpy()))
        if alone := sorted(set(wide[[arm, baseline]].dropna(how="all").index) - set(both.index)):
            notes.append(f"{arm}: {len(both)} pairs with {baseline}; {unit} {listed(alone)} is in one of the two alone")
    if len(notes) > 10:
        notes = [*notes[:10], f"and {len(notes) - 10} more arms have other {unit}s than their baseline"]
    constant = [
        arm for arm, effect in zip(baseline_of, effects, strict=True) if effect.pairs > 1 and np.isnan(effect.error)
    ]
    if constant:
        notes.append(f"every pair differs by the same amount, so the t test does not apply: {listed(constant)}")
    return effects, notes


def _effects_over_examples(
    runs: pd.DataFrame, baseline_of: Mapping[str, str], predictions: Mapping[str, pd.DataFrame]
) -> tuple[list[Effect], list[str]]:
    run_of = dict(zip(runs["arm"], runs["run_id"], strict=True))
    effects, notes = [], [ALONE]
    for arm, baseline in baseline_of.items():
        if missing := [name for name in (arm, baseline) if run_of[name] not in predictions]:
            effects.append(Effect(0))
            notes.append(f"{arm}: not tested, no stored predictions of {', '.join(missing)}")
            continue
        one, other = predictions[run_of[arm]], predictions[run_of[baseline]]
        both = one.merge(other, on="id", suffixes=("", "_baseline"))
        if len(both) < max(len(one), len(other)):
            notes.append(f"{arm}: {len(both)} test examples in common with {baseline}, of {len(one)} and {len(other)}")
        if (both["label"] != both["label_baseline"]).any():
            effects.append(Effect(0))
            notes.append(f"{arm}: not tested, the same test examples have other labels than in {baseline}")
        elif both.empty:
            effects.append(Effect(0))
        else:
            correct, reference = both["prediction"] == both["label"], both["prediction_baseline"] == both["label"]
            effects.append(over_examples(correct.to_numpy(), reference.to_numpy()))
    return effects, notes


def _verdicts(effects: pd.DataFrame, lower_is_better: bool) -> pd.DataFrame:
    """Adds `p_holm`, over the arms that have a p value, `shows` and `verdict`."""
    columns = ["pairs", "difference", "low", "high", "p", "p_holm", "shows", "verdict"]
    if effects.empty:
        return pd.DataFrame(columns=columns)
    tested = effects["p"].notna()
    effects["p_holm"] = np.nan
    if tested.any():
        effects.loc[tested, "p_holm"] = multipletests(effects.loc[tested, "p"], method="holm")[1]
    strictest = ALPHA / max(tested.sum(), 1)
    effects["shows"] = stats.t.ppf(1 - strictest / 2, np.maximum(effects["pairs"] - 1, 1)) * effects["error"]
    gain = -effects["difference"] if lower_is_better else effects["difference"]
    effects["verdict"] = np.select(
        [effects["pairs"] < FEWEST_PAIRS, effects["p_holm"] < ALPHA],
        [TOO_SMALL, np.where(gain > 0, BETTER, WORSE)],
        NOT_SHOWN,
    )
    effects["shows"] = effects["shows"].where(effects["verdict"] == NOT_SHOWN)
    return effects[columns]
