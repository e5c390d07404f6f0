"""A comparison, kept in MLflow as a run of its own."""

from collections.abc import Mapping

import mlflow

from alexnet_exp.tracking.query import REPORT


def log_comparison(experiment_id: str, name: str, tags: Mapping[str, str], files: Mapping[str, str]) -> str:
    """Logs texts by file name as a run with the tag `kind=report`, and returns its id."""
    with mlflow.start_run(experiment_id=experiment_id, run_name=name, tags={"kind": REPORT, **tags}) as run:
        for path, text in files.items():
            mlflow.log_text(text, path)
    return str(run.info.run_id)
