"""The statistics of a study against SciPy, statsmodels and cases worked out by hand."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from alexnet_exp.errors import UserError
from alexnet_exp.evaluation.arms import Arms, by_images, config_differences, sort_into_arms
from alexnet_exp.evaluation.compare import Comparison, compare, of_single_runs
from alexnet_exp.evaluation.comparison_figures import learning_curves
from alexnet_exp.evaluation.examples import missed_by_all, summed_confusion
from alexnet_exp.evaluation.figures.style import STRATEGIES
from alexnet_exp.evaluation.paired import over_examples, over_seeds
from alexnet_exp.evaluation.tables import csv, latex, markdown

ACCURACY = "test/accuracy"


def found(values: dict[str, list[float]], **columns: list[object]) -> pd.DataFrame:
    """Runs as MLflow's search gives them: for each arm the accuracies of the seeds 0, 1, ..."""
    rows = [
        {
            "run_id": f"{arm}{seed}",
            "name": f"{arm}-seed{seed}",
            "status": "FINISHED",
            "start_time": 10 * seed,
            "tags.arm": arm,
            "tags.seed": str(seed),
            "metrics.test/accuracy": value,
            "metrics.time/total_seconds": 2.0,
        }
        for arm, some in values.items()
        for seed, value in enumerate(some)
    ]
    return pd.DataFrame(rows).assign(**columns)


def arms_of(runs: pd.DataFrame, by: str = "arm", metric: str = ACCURACY) -> Arms:
    return sort_into_arms(runs, by, "seed", metric)


def comparison_of(values: dict[str, list[float]], baseline: str | None = None) -> Comparison:
    return compare(arms_of(found(values)), baseline)


def test_means_and_intervals_by_hand() -> None:
    table = comparison_of({"a": [0.1, 0.2, 0.3], "b": [0.5, 0.7, 0.6]}).arms
    assert table.index.tolist() == ["b", "a"]
    half = 4.302653 * 0.1 / np.sqrt(3)  # Student's t, 97.5 %, two degrees of freedom
    assert table.loc["a"].tolist() == pytest.approx([3, 0.2, 0.1, 0.2 - half, 0.2 + half, 0.3, 2.0], abs=1e-6)


def test_the_paired_t_test_by_hand_and_by_scipy() -> None:
    effect = over_seeds(np.array([0.81, 0.82, 0.86]), np.array([0.80, 0.80, 0.83]))  # differences 0.01, 0.02, 0.03
    error = 0.01 / np.sqrt(3)
    assert (effect.pairs, effect.difference, effect.error) == (3, pytest.approx(0.02), pytest.approx(error))
    assert (effect.low, effect.high) == pytest.approx((0.02 - 4.302653 * error, 0.02 + 4.302653 * error), abs=1e-7)
    assert effect.p == pytest.approx(stats.ttest_1samp([0.01, 0.02, 0.03], 0).pvalue)
    assert effect.p == pytest.approx(0.0741799, abs=1e-6)


def test_holm_by_hand_and_by_statsmodels() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.1, 6)
    values = {
        name: (base + shift + rng.normal(0, 0.02, 6)).tolist() for name, shift in (("x", 0.03), ("y", 0.01), ("z", 0))
    }
    effects = comparison_of({"none": base.tolist(), **values}).effects
    expected = {name: stats.ttest_rel(some, base).pvalue for name, some in values.items()}
    assert effects["p"].to_dict() == pytest.approx(expected)
    ordered = np.sort(effects["p"])
    by_hand = np.maximum.accumulate(np.minimum(ordered * [3, 2, 1], 1))
    assert np.sort(effects["p_holm"]) == pytest.approx(by_hand)
    assert effects["p_holm"].to_numpy() == pytest.approx(multipletests(effects["p"], method="holm")[1])
    effects = effects[effects["verdict"] == "not shown"]
    assert not effects.empty  # a difference of exactly `shows` has the p value of Holm's first step
    statistic = effects["shows"] / ((effects["high"] - effects["low"]) / 2 / stats.t.ppf(0.975, 5))
    assert 2 * stats.t.sf(statistic, 5) == pytest.approx(0.05 / 3)


def test_mcnemar_and_the_bootstrap_by_hand() -> None:
    correct = np.array([True] * 8 + [False] * 2 + [True] * 90)
    baseline = np.array([False] * 8 + [True] * 2 + [True] * 90)
    effect = over_examples(correct, baseline)
    assert (effect.pairs, effect.difference) == (100, pytest.approx(0.06))
    assert effect.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)  # binomial, at most 2 of 10
    assert effect.p == pytest.approx(mcnemar([[90, 8], [2, 0]], exact=True).pvalue)
    assert over_examples(correct, correct).p == 1
    assert over_examples(correct[:1], baseline[:1]).difference == 1


def test_the_bootstrap_interval_is_the_analytic_one_for_many_examples() -> None:
    gain = np.random.default_rng(1).choice([-1, 0, 1], 4000, p=[0.05, 0.85, 0.1])
    effect = over_examples(gain > 0, gain < 0)
    half = 1.959964 * gain.std() / np.sqrt(len(gain))
    assert (effect.low, effect.high) == pytest.approx((gain.mean() - half, gain.mean() + half), abs=0.03 * half)


def at_most(cases: int) -> float:
    """False findings that a valid 5 % procedure stays below in 999 of 1,000 simulations, whatever their seed."""
    return float(stats.binom.ppf(0.999, cases, 0.05))


def test_identical_arms_show_nothing_and_a_real_effect_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels collects at every correction: slow here, and no matter
    rng = np.random.default_rng(0)
    false, true = 0, 0
    for _ in range(200):  # five seeds of networks that are right on nine of ten, with a spread over seeds; 359 images
        ability = rng.normal([[0.9]] * 5 + [[0.96]], 0.01, (6, 5)).clip(0, 1)
        *same, higher = rng.binomial(359, ability) / 359
        true += over_seeds(higher, same[0]).p < 0.05
        accuracy = {name: values.tolist() for name, values in zip(["none", "a", "b", "c", "d"], same, strict=True)}
        false += bool(comparison_of(accuracy).effects["verdict"].isin(["better", "worse"]).any())
    assert false <= 0.05 * 200  # 95 studies of 100 or more; without Holm's correction five of six
    assert true >= 0.8 * 200


def test_identical_networks_show_nothing_on_the_examples() -> None:
    rng = np.random.default_rng(0)
    assert sum(over_examples(*(rng.random((2, 80)) < 0.8)).p < 0.05 for _ in range(200)) <= at_most(200)


def test_only_seeds_that_both_have_are_pairs() -> None:
    runs = found({"none": [0.1, 0.2, 0.3, 0.4], "a": [0.3, 0.5, 0.4, 0.9]})
    comparison = compare(arms_of(runs[runs["run_id"] != "a3"]), "none")
    assert comparison.arms["n"].to_dict() == {"a": 3, "none": 4}
    assert comparison.effects.loc["a", "pairs"] == 3
    assert comparison.effects.loc["a", "difference"] == pytest.approx(0.2)
    assert "a: 3 pairs with none; seed 3 is in one of the two alone" in comparison.notes


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_small_n_is_called_too_small(seeds: int) -> None:
    comparison = comparison_of({"none": [0.1, 0.2][:seeds], "a": [0.9, 0.95][:seeds]})
    assert comparison.effects.loc["a", "verdict"] == "n too small"
    assert any(note.startswith("n is too small to tell from none: a") for note in comparison.notes)
    assert np.isnan(comparison.effects.loc["a", "p"]) == (seeds == 1)


def test_arms_without_spread() -> None:
    comparison = comparison_of({"none": [0.8] * 3, "same": [0.8] * 3, "higher": [0.9] * 3})
    assert comparison.arms["low"].isna().all()
    assert comparison.effects.loc["same", "p"] == 1
    assert np.isnan(comparison.effects.loc["higher", "p"])
    assert set(comparison.effects["verdict"]) == {"not shown"}
    assert any("every pair differs by the same amount" in note for note in comparison.notes)
    assert any("the same test/accuracy for every seed" in note for note in comparison.notes)


def test_arms_may_have_baselines_of_their_own() -> None:
    values = {"scratch_10": [0.5, 0.6, 0.55], "svm_10": [0.8, 0.85, 0.9], "scratch_30": [0.7, 0.8, 0.75]}
    runs = found(values | {"svm_30": [0.71, 0.82, 0.74]})
    runs["tags.baseline"] = "scratch_" + runs["tags.arm"].str[-2:]
    comparison = compare(arms_of(runs))
    assert comparison.baseline == "its baseline"
    assert comparison.effects["baseline"].to_dict() == {"svm_10": "scratch_10", "svm_30": "scratch_30"}
    assert comparison.effects["difference"].to_dict() == pytest.approx({"svm_10": 0.3, "svm_30": 0.02 / 3})
    assert comparison.effects["p_holm"].max() == pytest.approx(
        stats.ttest_rel(values["scratch_30"], [0.71, 0.82, 0.74]).pvalue
    )
    assert "| svm\\_10 to scratch\\_10 | 3 |" in markdown(comparison)
    assert set(compare(arms_of(runs), "scratch_10").effects["baseline"]) == {"scratch_10"}


def test_a_cost_is_better_when_it_is_lower() -> None:
    runs = found({"none": [2.0, 2.1, 2.2, 2.0], "a": [1.0, 1.12, 1.21, 1.03]})
    comparison = compare(
        arms_of(runs.rename(columns={"metrics.test/accuracy": "metrics.test/loss"}), metric="test/loss")
    )
    assert comparison.arms.index.tolist() == ["a", "none"]
    assert comparison.arms.loc["a", "best"] == 1.0
    assert comparison.effects.loc["a", "verdict"] == "better"


def test_runs_that_do_not_count_are_mentioned() -> None:
    runs = found({"none": [0.1, 0.2, 0.3, 0.4], "a": [0.1, np.nan, np.inf, 0.4]})
    runs.loc[runs["run_id"] == "none3", "status"] = "FAILED"
    arms = arms_of(runs)
    assert arms.runs["run_id"].tolist() == ["none0", "a0", "none1", "none2", "a3"]
    assert arms.notes == (
        "not counted: 1 FAILED (arms none)",
        "not counted: 2 finished without a finite test/accuracy (arms a)",
    )


def test_of_repetitions_the_latest_counts_and_mixed_arms_are_averaged() -> None:
    fingerprints = ["f", "f", "g", "h"]
    runs = found({"a": [0.1, 0.2, 0.4, 0.6]}, **{"tags.seed": ["0", "0", "0", "1"], "tags.fingerprint": fingerprints})
    arms = arms_of(runs)
    assert arms.runs["run_id"].tolist() == ["a1", "a2", "a3"]
    assert compare(arms).arms.loc["a", ["n", "mean"]].tolist() == pytest.approx([2, 0.45])
    assert any("1 repeated later" in note for note in arms.notes)
    assert any("mix configurations" in note for note in arms.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "nothing"}, "--group-by: .*Options that vary: arm, seed. Received: nothing"),
        ({"metric": "test/nothing"}, "--metric: .*Options: test/accuracy, time/total_seconds. Received: test/nothing"),
    ],
)
def test_unknown_names_list_the_options(change: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        arms_of(found({"a": [0.1, 0.2], "b": [0.1, 0.2]}), **change)
    with pytest.raises(UserError, match=r"--baseline: expected an arm. Options: a, b. Received: c"):
        comparison_of({"a": [0.1], "b": [0.1]}, "c")
    with pytest.raises(UserError, match="1 FAILED"):
        arms_of(found({"a": [0.1]}, status=["FAILED"]))


def predictions(said: list[int], ids: str = "vwxyz", truth: int = 0) -> pd.DataFrame:
    chance = [[0.9, 0.1] if some == 0 else [0.2, 0.8] for some in said]
    return pd.DataFrame({"id": list(ids), "label": truth, "prediction": said, "probabilities": chance})


def test_single_runs_are_compared_on_the_examples_they_share() -> None:
    arms = arms_of(found({"none": [0.2], "a": [1.0], "b": [0.5], "c": [0.5]}))
    assert of_single_runs(arms)
    assert not of_single_runs(arms_of(found({"none": [0.2, 0.3], "a": [1.0, 0.9]})))
    stored = {
        "none0": predictions([1, 1, 1, 1, 0]),
        "a0": predictions([0, 0, 0, 0], "vwxy"),
        "b0": predictions([0] * 5, truth=1),
    }
    comparison = compare(arms, None, stored)
    assert comparison.effects.loc["a", ["pairs", "difference", "p"]].tolist() == pytest.approx([4, 1.0, 2 / 2**4])
    assert comparison.effects["pairs"].to_dict() == {"a": 4, "b": 0, "c": 0}
    text = "\n".join(comparison.notes)
    assert "a: 4 test examples in common with none, of 4 and 5" in text
    assert "b: not tested, the same test examples have other labels" in text
    assert "c: not tested, no stored predictions of c" in text


def test_examples_that_every_arm_misses() -> None:
    tables = {
        "a": [predictions([1, 1, 0, 1, 1]), predictions([1, 0, 0, 1, 1])],
        "b": [predictions([1, 1, 1, 1], "vwxy")],
    }
    assert sorted(missed_by_all(tables)["id"]) == ["v", "y"]  # z is not in the test set of b
    np.testing.assert_array_equal(summed_confusion(tables["a"], 2), [[3, 7], [0, 0]])


def test_what_differs_leaves_out_what_follows_the_seed() -> None:
    columns = {
        "params.seed": ["0", "1"] * 2,
        "params.split": ["0", "1"] * 2,
        "params.same": ["x"] * 4,
        "params.rate": ["0.1", "0.1", "0.2", None],
    }
    table = config_differences(arms_of(found({"a": [0.1, 0.2], "b": [0.1, 0.2]}, **columns)))
    assert table.to_dict() == {"a": {"rate": "0.1"}, "b": {"rate": "-, 0.2"}}


def test_names_are_escaped() -> None:
    comparison = comparison_of({"none": [0.1, 0.2, 0.3], r"a_b & 50% | {x}\y": [0.2, 0.4, 0.3]})
    assert r"a\_b \& 50\% | \{x\}\textbackslash{}y & 3 &" in latex(comparison)
    assert latex(comparison).count(r"\toprule") == 2
    lines = markdown(comparison).splitlines()
    assert any(line.startswith(r"| a\_b & 50% \| {x}\\y | 3 |") for line in lines)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:6]}) == 1  # as many cells in every row
    assert csv(comparison).startswith("arm,n,mean,std,low,high,best,seconds,baseline,pairs,difference,difference_low,")


def test_runs_on_limited_data_become_a_curve_for_each_strategy() -> None:
    runs = found({"small": [0.6, 0.7], "large": [0.8, 0.9], "all": [0.9, 0.9]})
    limits = runs["tags.arm"].map({"small": "10", "large": "300", "all": "None"})
    runs = runs.assign(**{"params.dataset.limit_per_class": limits, "tags.strategy": "finetune"})
    sized = by_images(arms_of(runs))
    assert sorted(sized["images"]) == [10, 10, 300, 300]
    (line,) = learning_curves(sized, ACCURACY).axes[0].lines
    assert list(line.get_xdata()) == [10, 300]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.65, 0.85])
    assert line.get_label() == "finetune"
    assert line.get_color() == STRATEGIES["finetune"]
    assert by_images(arms_of(runs[limits == "None"])).empty
