"""Runs side by side: mean and spread over seeds for each arm."""

import pandas as pd

METRIC = "test/accuracy"
SECONDS = "time/total_seconds"


def summarize(runs: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row for each value of `by`.

    Args:
      runs: a row for each run, with the column `by` and metrics as columns.

    Returns:
      Columns `n`, `mean` and `std` of the test accuracy (NaN for one run) and the mean `seconds`, best mean first.
    """
    groups = runs.groupby(by)
    table = pd.DataFrame(
        {
            "n": groups.size(),
            "mean": groups[METRIC].mean(),
            "std": groups[METRIC].std(ddof=1),
            "seconds": groups[SECONDS].mean(),
        }
    )
    return table.sort_values("mean", ascending=False)
