"""A disk that is full while checkpointing, caching and logging: FAILED with that cause, or on without what is kept."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from alexnet_exp.errors import TrackingError
from alexnet_exp.run import run
from alexnet_exp.training.checkpoint import Checkpoints
from tests.conftest import Compose


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many kB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(kilobytes: int) -> Path:
        options = f"size={kilobytes}k"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
        return folder

    yield make
    subprocess.run(["umount", folder], capture_output=True)


@pytest.mark.parametrize("kilobytes", [16, pytest.param(64, marks=pytest.mark.faults), 300])
def test_a_run_whose_state_finds_no_room_is_failed_with_that_cause(
    store: str, tiny: Compose, disk: Callable[[int], Path], kilobytes: int
) -> None:
    """16 kB take no journal, 64 kB no checkpoint, 300 kB no model."""
    state = disk(kilobytes)
    with pytest.raises((OSError, TrackingError), match="No space left on device"):
        run(tiny(f"paths.state={state}", "training.epochs=2", "tracking.flush_seconds=2"), [])
    (found,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert found.info.status == "FAILED"
    assert found.data.tags["failure"] == "OSError"
    assert "No space left on device" in found.data.tags["error"]
    for folder in state.glob("*/checkpoints"):
        assert not list(folder.glob("*.partial"))
        Checkpoints(folder).take_up({}, with_best=False)


def test_a_run_whose_cache_finds_no_room_goes_on_without(
    store: str, tiny: Compose, disk: Callable[[int], Path], caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("strategy=features_mlp", "strategy.epochs=1", f"paths.cache={disk(16)}")
    result = run(config, [])
    assert mlflow.get_run(result.run_id).info.status == "FINISHED"
    assert [record for record in caplog.records if "activations are not kept" in record.getMessage()]
