"""Runs and their results, read back from MLflow."""

import gc
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import pandas as pd
import yaml
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from alexnet_exp.checksums import file_sha256, read_sealed
from alexnet_exp.errors import UserError, WeightsError
from alexnet_exp.tracking.identity import ALSO_IN, PART
from alexnet_exp.tracking.reach import check_reachable
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256, SQLITE, short, store_in_use, use_store

PAGE = 1000  # runs a query; memory grows with it
REPORT = "report"  # the tag `kind` of a run that holds a comparison
LOCAL_UI = "http://127.0.0.1:5000"

FINISHED = "attributes.status = 'FINISHED'"  # a condition of `run_filter`
REUSED = f"tags.{ALSO_IN} LIKE '%'"  # another one
log = logging.getLogger(__name__)
T = TypeVar("T")


def open_existing(uri: str | None) -> str:
    """Makes MLflow use a store that exists, and returns its URI.

    Raises:
      UserError: when there is none, or it does not answer.
    """
    check_reachable(uri)
    uri = use_store(uri)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        raise UserError(f"tracking.uri: expected a store with runs. Received: {uri}, no such file")
    return uri


def open_experiment(uri: str | None, name: str) -> str:
    """Makes MLflow use a store that exists, and returns the id of an experiment in it.

    Raises:
      UserError: when there is no such store or experiment.
    """
    uri = open_existing(uri)
    try:
        if found := mlflow.get_experiment_by_name(name):
            return found.experiment_id
        options = ", ".join(sorted(experiment.name for experiment in mlflow.search_experiments()))
    except MlflowException as error:
        raise UserError(f"tracking.uri: expected a store that answers. Received: {uri} ({short(error)})") from None
    raise UserError(f"tracking.experiment: expected one of the store. Options: {options}. Received: {name}")


def run_filter(
    study: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_ids: Sequence[str] = (),
    more: str | None = None,
) -> str:
    """An MLflow filter for the runs that are of a study, have the tags, are among the ids, and match the filter `more`.

    Raises:
      UserError: when a value holds both kinds of quotation marks, which MLflow's filters cannot express.
    """
    wanted = ({"study": study} if study is not None else {}) | dict(tags or {})
    terms = [f"tags.`{name}` = {_quoted(value)}" for name, value in wanted.items()]
    if run_ids:
        terms.append(f"attributes.run_id IN ({', '.join(map(_quoted, run_ids))})")
    return " and ".join([*terms, *([more] if more else [])])


def find_runs(experiment_id: str, query: str) -> pd.DataFrame:
    """The runs that match an MLflow filter, in any state, in the order of their start; reports are left out.

    Returns:
      A row for each, with `run_id`, `name`, `status`, `start_time` (ms) and a column for each `params.*`, `tags.*` and
      `metrics.*` (their last values).

    Raises:
      UserError: when MLflow does not understand the filter.
    """
    client, token, pages = mlflow.MlflowClient(), None, []
    with _no_garbage_collection():
        while token != "":
            try:
                page = client.search_runs([experiment_id], query, 1, PAGE, ["attributes.start_time ASC"], token)
            except MlflowException as error:
                raise UserError(f"expected an MLflow filter. Received: {query} ({short(error)})") from None
            pages.append(pd.DataFrame([_row(run) for run in page if run.data.tags.get("kind") != REPORT]))
            token = page.token or ""
    return pd.concat(pages, ignore_index=True)


def find_study(
    experiment_id: str,
    study: str | None,
    tags: Mapping[str, str] | None = None,
    run_ids: Sequence[str] = (),
    more: str | None = None,
) -> pd.DataFrame:
    """The runs of a study as `find_runs` gives them: its own, and under its tags those of other studies that it reused.

    Args:
      experiment_id: of the experiment.
      study: None takes the runs of all.
      tags: see `run_filter`, as the others.
      run_ids: these alone.
      more: a further filter.
    """
    own = find_runs(experiment_id, run_filter(study, tags, run_ids, more))
    if study is None:
        return own
    found = find_runs(experiment_id, run_filter(None, tags, run_ids, f"{more} and {REUSED}" if more else REUSED))
    parts = [
        run | {f"tags.{name}": part[name] for name in PART}
        for run in found.to_dict("records")
        for part in json.loads(run[f"tags.{ALSO_IN}"])
        if part["study"] == study
    ]
    return pd.concat([own, pd.DataFrame(parts)], ignore_index=True) if parts else own


def find_run(run_id: str) -> Run:
    """One run, in any state.

    Raises:
      UserError: when the store has none with this id.
    """
    try:
        return mlflow.get_run(run_id)
    except MlflowException as error:
        raise UserError(f"expected the id of a run in {store_in_use()}. Received: {run_id} ({short(error)})") from None


def read_predictions(run_ids: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The stored predictions of the test examples by run id (`Report.predictions`); runs without any are left out."""
    read = {run_id: _read(run_id, "predictions/test.parquet", pd.read_parquet) for run_id in run_ids}
    return {run_id: table for run_id, table in read.items() if table is not None}


def read_class_names(run_id: str, classes: int) -> list[str]:
    """The names of a run's classes, in the order of the labels; numbers where the run has none."""
    report = _read(run_id, "classification_report.json", lambda path: json.loads(path.read_text()))
    return list(report)[:classes] if report else [str(label) for label in range(classes)]


def read_yaml(run_id: str, path: str) -> Any:
    """What is in a YAML file of a run, None where it has none."""
    return _read(run_id, path, lambda file: yaml.safe_load(file.read_text()))


def read_curves(run_ids: Iterable[str], metrics: Iterable[str]) -> pd.DataFrame:
    """What runs logged for each epoch: `run_id`, `metric`, `step`, `value`. One query a run and metric."""
    client = mlflow.MlflowClient()
    rows = [
        {"run_id": run_id, "metric": metric, "step": point.step, "value": point.value}
        for run_id in run_ids
        for metric in metrics
        for point in client.get_metric_history(run_id, metric)
    ]
    return pd.DataFrame(rows, columns=["run_id", "metric", "step", "value"])


def check_weights(run_id: str) -> None:
    """Raises WeightsError when the store has no run that weights could be taken from."""
    with _named_by_weights():
        find_run(run_id)


def download_weights(run_id: str, folder: Path) -> Path:
    """Copies the network of a finished run into `folder`.

    Raises:
      WeightsError: when the store has no such run, or the run has no model or another one than it recorded.
    """
    with _named_by_weights():
        return download_model(run_id, folder) / "network.keras"


@contextmanager
def _named_by_weights() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise WeightsError(f"weights.run_id: {error}") from None


def download_model(run_id: str, folder: Path) -> Path:
    """Copies what `Fitted.save` wrote into `folder`, and compares it with the checksums that the run recorded.

    Returns:
      The folder of the copy, for `load_fitted`.

    Raises:
      UserError: when the store has no such run.
      WeightsError: when the run has no model or another one than it recorded.
    """
    recorded = find_run(run_id).data.tags.get(MODEL_SHA256)
    try:
        model = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{MODEL}", dst_path=str(folder))
    except (MlflowException, OSError) as error:
        raise WeightsError(f"expected a run with a model. Received: {run_id} ({short(error)})") from None
    if not (found := list(Path(model).rglob("fitted.json"))):
        raise WeightsError(f"expected a run with a network. Received: {run_id}, a model without one")
    if recorded != (received := file_sha256(found[0])):
        raise WeightsError(
            f"expected fitted.json with the SHA-256 that run {run_id} recorded as {MODEL_SHA256}, "
            f"{recorded or 'none'}. Received: {received}"
        )
    read_sealed(found[0])
    return found[0].parent


def run_address(experiment_id: str, run_id: str) -> str:
    """Where the MLflow UI shows a run; for a database that is the UI of `make ui`."""
    store = store_in_use()
    server = store if store.startswith("http") else LOCAL_UI
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def _row(run: Run) -> dict[str, Any]:
    info, data = run.info, run.data
    return (
        {"run_id": info.run_id, "name": info.run_name, "status": info.status, "start_time": info.start_time}
        | {f"params.{name}": value for name, value in data.params.items()}
        | {f"tags.{name}": value for name, value in data.tags.items() if not name.startswith("mlflow.")}
        | {f"metrics.{name}": value for name, value in data.metrics.items()}
    )


def _read(run_id: str, path: str, reader: Callable[[Path], T]) -> T | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return reader(Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder)))
        except (MlflowException, OSError) as error:
            log.warning("run %s: no %s (%s)", run_id, path, short(error))
            return None


def _quoted(value: str) -> str:
    """A value in the quotation marks that it does not contain: MLflow's filters have no escapes."""
    mark = "'" if "'" not in value else '"'
    if mark in value:
        raise UserError(f"expected a value with one kind of quotation marks at the most. Received: {value}")
    return f"{mark}{value}{mark}"


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """MLflow makes an object of every tag and parameter: the collector would look through them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
