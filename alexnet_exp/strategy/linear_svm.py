"""Linear support vector machines where there are more features than examples: they learn on as many numbers a row
as there are rows."""

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from sklearn.svm import LinearSVC

JITTER = 1e-10  # of the mean square: rows that depend on each other have a factor too


def compact_rows(rows: np.ndarray) -> np.ndarray:
    """Rows with the same inner products, which is all that a linear machine learns from.

    Args:
      rows: `[N, D]`.

    Returns:
      float64 `[N, N]`, lower triangular, where `N < D`; else the rows themselves.
    """
    if len(rows) >= rows.shape[1]:
        return rows
    exact = rows.astype(np.float64)
    products = exact @ exact.T
    products[np.diag_indices_from(products)] += JITTER * np.trace(products) / len(rows)
    return cholesky(products, lower=True, overwrite_a=True, check_finite=False)


def carry_back(machine: LinearSVC, compact: np.ndarray, rows: np.ndarray) -> None:
    """Gives a machine that was fitted to `compact_rows(rows)` the weights that it would have got from `rows`."""
    if compact is rows:
        return
    dual = solve_triangular(compact, machine.coef_.T, trans="T", lower=True, check_finite=False)
    machine.coef_ = dual.T @ rows
    machine.n_features_in_ = rows.shape[1]
