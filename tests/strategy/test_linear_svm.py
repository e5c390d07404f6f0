"""A linear machine that learned on compact rows is the one that learned on the features."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from alexnet_exp.strategy.linear_svm import carry_back, compact_rows


@pytest.mark.parametrize("classes", [2, 4])
def test_a_machine_fitted_to_compact_rows_has_the_weights_of_one_fitted_to_the_features(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    rows = rng.standard_normal((60, 500)).astype(np.float32) + rng.standard_normal((classes, 500))[labels] / 4
    rows[1] = rows[0]  # rows that depend on each other
    plain = LinearSVC(C=0.01, random_state=0).fit(rows, labels)
    compact = compact_rows(rows)
    machine = LinearSVC(C=0.01, dual=True, random_state=0).fit(compact, labels)
    carry_back(machine, compact, rows)
    assert compact.shape == (60, 60)
    np.testing.assert_allclose(machine.coef_, plain.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(machine.intercept_, plain.intercept_, atol=1e-9)
    unseen = rng.standard_normal((40, 500))
    np.testing.assert_allclose(machine.decision_function(unseen), plain.decision_function(unseen), atol=1e-8)


def test_rows_with_few_features_stay_as_they_are() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 8))
    assert compact_rows(rows) is rows
