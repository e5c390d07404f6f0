"""Tests and intervals of a difference between pairs: of seeds, or of test examples."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

CONFIDENCE = 0.95
RESAMPLES = 9999
NAN = float("nan")


@dataclass(frozen=True)
class Effect:
    """A difference to the baseline over `pairs`, its 95 % interval and a p value; NaN is what the pairs cannot give.

    `error` is the standard error of the difference over seeds.
    """

    pairs: int
    difference: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    error: float = NAN


def over_seeds(values: np.ndarray, baseline: np.ndarray) -> Effect:
    """The paired t test and its interval for the mean of `values - baseline`, `[pairs]` each.

    Without spread between the pairs the test does not apply: interval and p are NaN, but p is 1 where all are equal.
    """
    differences = np.asarray(values, float) - np.asarray(baseline, float)
    if not len(differences):
        return Effect(0)
    mean = float(differences.mean())
    if len(differences) == 1:
        return Effect(1, mean)
    deviation = float(differences.std(ddof=1))
    if deviation <= (noise := rounding(np.abs(values).max() + np.abs(baseline).max())):
        return Effect(len(differences), mean, p=1.0 if abs(mean) <= noise else NAN)
    test = stats.ttest_rel(values, baseline)
    interval = test.confidence_interval(CONFIDENCE)
    error = deviation / np.sqrt(len(differences))
    return Effect(len(differences), mean, float(interval.low), float(interval.high), float(test.pvalue), float(error))


def over_examples(correct: np.ndarray, baseline: np.ndarray) -> Effect:
    """The difference in accuracy of two classifiers on the same test examples, bool `[examples]` each.

    McNemar's exact test (binomial, two-sided) and a paired bootstrap interval (percentile, 9,999 resamples, seeded).
    """
    gain = correct.astype(np.int8) - baseline.astype(np.int8)
    won, lost = int((gain > 0).sum()), int((gain < 0).sum())
    p = float(mcnemar([[0, won], [lost, 0]], exact=True).pvalue)
    if not won + lost or len(gain) == 1:
        return Effect(len(gain), float(gain.mean()), p=p)
    resampled = stats.bootstrap(
        (gain,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=CONFIDENCE, method="percentile", rng=0
    )
    interval = resampled.confidence_interval
    return Effect(len(gain), float(gain.mean()), float(interval.low), float(interval.high), p)


def rounding(scale: float) -> float:
    """What differences of values of this size may be by rounding alone."""
    return 1e-12 * max(scale, 1e-300)
