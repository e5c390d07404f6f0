"""Registered models: a name, its versions, and the alias of the one that is used."""

import re
from dataclasses import dataclass

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from alexnet_exp.errors import UserError
from alexnet_exp.tracking.query import find_run
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256, short, store_in_use

CHAMPION = "champion"
TEST_SHA256 = "test_sha256"  # the tag with the digest of the names and classes of the test images
MODELS = "models:/"


@dataclass(frozen=True)
class Promotion:
    """The address of the model that is the champion now, its version, and the run that was before it."""

    address: str
    version: str
    before: str | None


def run_id_of(source: str) -> str:
    """The run that a model comes from.

    Args:
      source: `models:/name@alias` or `models:/name/version`; anything else is taken for the id of a run.

    Raises:
      UserError: when there is no such model.
    """
    if not source.startswith(MODELS):
        return source
    if not (parts := re.fullmatch(r"([^/@]+)(?:@(.+)|/(\d+))", source.removeprefix(MODELS))):
        raise UserError(f"expected a run id, models:/<name>@<alias> or models:/<name>/<version>. Received: {source}")
    name, alias, version = parts.groups()
    client = mlflow.MlflowClient()
    try:
        found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, version)
    except MlflowException as error:
        known = ", ".join(model.name for model in client.search_registered_models()) or "none"
        raise UserError(
            f"expected a registered model in {store_in_use()}. Options: {known}. Received: {source} ({short(error)})"
        ) from None
    return str(found.run_id)


def promote(run_id: str, name: str, force: bool = False) -> Promotion:
    """Registers a run's model under a name and makes it the champion, whom `models:/<name>@champion` means.

    Args:
      run_id: of a finished run.
      name: of the registered model; made where it does not exist.
      force: whatever the champion achieved.

    Raises:
      UserError: when the run has no tested model, or the champion is better: its interval of accuracy on the test
        images lies above the run's, or the two were tested on different images.
    """
    run = _tested_run(run_id)
    before = _champion(name)
    if before and before.run_id != run_id and not force:
        _check_against(run, _tested_run(before.run_id), name)
    version = _version(run_id, name)
    mlflow.MlflowClient().set_registered_model_alias(name, CHAMPION, version)
    return Promotion(f"{MODELS}{name}@{CHAMPION}", version, before.run_id if before else None)


def _tested_run(run_id: str) -> Run:
    run = find_run(run_id)
    if (
        run.info.status != "FINISHED"
        or "test/accuracy_low" not in run.data.metrics
        or MODEL_SHA256 not in run.data.tags
    ):
        raise UserError(f"expected a finished run with a model. Received: {run_id}, {run.info.status}")
    return run


def _champion(name: str) -> ModelVersion | None:
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException:  # no model of this name, or no champion among its versions
        return None


def _check_against(run: Run, champion: Run, name: str) -> None:
    if run.data.tags.get(TEST_SHA256) != champion.data.tags.get(TEST_SHA256):
        raise UserError(
            f"expected a run with the test images of the champion of {name}, run {champion.info.run_id} "
            f"(--force promotes it all the same). Received: run {run.info.run_id} with others"
        )
    if run.data.metrics["test/accuracy_high"] < champion.data.metrics["test/accuracy_low"]:
        raise UserError(
            f"expected a test accuracy that reaches the interval of the champion of {name}, {_interval(champion)} "
            f"(--force promotes it all the same). Received: {_interval(run)}"
        )


def _interval(run: Run) -> str:
    low, high = (run.data.metrics[f"test/accuracy_{end}"] for end in ("low", "high"))
    return f"{low:.4f} to {high:.4f}"


def _version(run_id: str, name: str) -> str:
    """The number of the version that is this run's model; registered where it is not."""
    client = mlflow.MlflowClient()
    try:
        versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        found = versions[0] if versions else mlflow.register_model(f"runs:/{run_id}/{MODEL}", name)
    except MlflowException as error:
        raise UserError(f"--name: expected a name that MLflow takes. Received: {name} ({short(error)})") from None
    return str(found.version)
