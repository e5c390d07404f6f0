"""A run's model becomes the champion of a name unless the champion is better or was tested on other images."""

import runpy
import sys
from pathlib import Path

import mlflow
import pytest

from alexnet_exp.errors import UserError
from alexnet_exp.tracking.registry import TEST_SHA256, promote, run_id_of
from alexnet_exp.tracking.store import MODEL, MODEL_SHA256, use_store
from tests.conftest import REPO


def run_with(accuracy: float, images: str = "a", status: str = "FINISHED", model: bool = True) -> str:
    """The id of a run with an interval of 0.1 around the accuracy."""
    client = mlflow.MlflowClient()
    run_id = client.create_run("0", tags={TEST_SHA256: images}).info.run_id
    for name, value in (("accuracy_low", accuracy - 0.05), ("accuracy_high", accuracy + 0.05)):
        client.log_metric(run_id, f"test/{name}", value)
    if model:
        client.set_tag(run_id, MODEL_SHA256, "0" * 64)
        with mlflow.start_run(run_id):
            mlflow.pyfunc.log_model(name=MODEL, loader_module="math", pip_requirements=[])
    client.set_terminated(run_id, status)
    return str(run_id)


@pytest.fixture
def registry(store: str) -> None:
    use_store(store)


@pytest.mark.usefixtures("registry")
@pytest.mark.filterwarnings("ignore:.*input example")
def test_a_better_or_equal_model_is_promoted_and_a_worse_one_refused() -> None:
    first, equal, worse = run_with(0.8), run_with(0.71), run_with(0.6)
    promotion = promote(first, "pets")
    assert (promotion.address, promotion.version, promotion.before) == ("models:/pets@champion", "1", None)
    assert promote(first, "pets").version == "1"
    assert promote(equal, "pets").before == first
    assert run_id_of("models:/pets@champion") == equal
    assert run_id_of("models:/pets/1") == first
    promote(first, "pets")
    message = r"reaches the interval of the champion of pets, 0\.7500 to 0\.8500 .* Received: 0\.5500 to 0\.6500$"
    with pytest.raises(UserError, match=message):
        promote(worse, "pets")
    assert run_id_of("models:/pets@champion") == first
    with pytest.raises(
        UserError, match=r"with the test images of the champion of pets.* Received: run \w+ with others$"
    ):
        promote(run_with(0.9, images="b"), "pets")
    assert promote(worse, "pets", force=True).version == "3"
    assert run_id_of("models:/pets@champion") == worse


@pytest.mark.usefixtures("registry")
def test_what_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run_id, received in (
        (run_with(0.9, status="FAILED", model=False), "FAILED"),
        (run_with(0.9, model=False), "FINISHED"),
    ):
        with pytest.raises(UserError, match=f"expected a finished run with a model. Received: {run_id}, {received}$"):
            promote(run_id, "pets")
    monkeypatch.setattr(sys, "argv", ["runs.py", "promote", "0123", "--name", "pets"])
    with pytest.raises(SystemExit, match=r"^error: expected the id of a run in sqlite:.* Received: 0123 \("):
        runpy.run_path(str(REPO / "scripts" / "runs.py"), run_name="__main__")
