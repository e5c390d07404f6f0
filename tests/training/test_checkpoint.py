"""Checkpoints are whole or not there: what is damaged is passed over, what is full stops nothing."""

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alexnet_exp.training.checkpoint import Checkpoints, Progress

FILES = ("progress.json", "network.safetensors", "optimizer.safetensors", "seal.json")
SHAPES = {"conv1/kernel": (3, 4), "fc6_dropout/seed_generator_state": (2,)}


def progress(epochs: int, best: int) -> Progress:
    history = [{"epoch": epoch, "stage": "s", "val/accuracy": 0.1 + epoch / 3} for epoch in range(epochs)]
    return Progress("s", False, best, history, {"EarlyStopping": {"wait": 1, "best": 0.1 + 0.2}})


def arrays(epoch: int) -> dict[str, np.ndarray]:
    kernel = np.random.default_rng(epoch).normal(size=SHAPES["conv1/kernel"]).astype(np.float32)
    return {"conv1/kernel": kernel, "fc6_dropout/seed_generator_state": np.array([epoch, 2**32 - 1], np.uint32)}


def save(folder: Path, bests: list[int]) -> None:
    """A checkpoint for each epoch, with its best one so far."""
    with Checkpoints(folder) as checkpoints:
        for epoch, best in enumerate(bests):
            checkpoints.save(progress(epoch + 1, best), arrays(epoch), {"0": np.array(epoch, np.int64)})


def epochs_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    save(tmp_path, [0, 1, 1])
    found = Checkpoints(tmp_path).take_up(SHAPES, with_best=True)
    assert found
    assert found.progress == progress(3, 1)
    assert found.optimizer["0"].item() == 2
    for name, array in arrays(2).items():
        np.testing.assert_array_equal(found.network[name], array, strict=True)
        np.testing.assert_array_equal(found.best[name], arrays(1)[name], strict=True)


def test_the_last_two_stay_each_with_its_best(tmp_path: Path) -> None:
    save(tmp_path, [0, 0, 0, 0])
    assert epochs_in(tmp_path) == ["000000", "000002", "000003"]
    save(tmp_path, [0, 0, 2, 3])
    assert epochs_in(tmp_path) == ["000002", "000003"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "empty"])
def test_a_damaged_one_is_passed_over_with_a_warning(
    tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, [0, 1, 2])
    file = tmp_path / "000002" / name
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes({"cut": content[:-1], "flipped": content, "empty": b""}[damage])
    found = Checkpoints(tmp_path).take_up(SHAPES, with_best=True)
    assert found
    assert found.progress.epoch == 1
    (record,) = caplog.records
    assert record.getMessage().startswith("a checkpoint is damaged, the one before is taken: ")


several = settings(
    max_examples=int(os.environ.get("ALEXNET_EXP_FAULTS", "30")),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@several
@given(st.sampled_from(FILES), st.integers(0, 10_000), st.binary(max_size=9), st.sampled_from([0, 1, 10_000]))
def test_whatever_bytes_it_holds_a_checkpoint_is_the_one_that_was_written_or_none(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: int, put: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    save(folder, [0])
    file = folder / "000000" / name
    before = file.read_bytes()
    start %= len(before)
    after = before[:start] + put + before[start + cut :]
    file.write_bytes(after)
    found = Checkpoints(folder).take_up(SHAPES, with_best=False)
    if name != "seal.json":  # of whose blanks nothing depends
        assert (found is None) == (after != before)
    if found:
        assert found.progress == progress(1, 0)
        np.testing.assert_array_equal(found.network["conv1/kernel"], arrays(0)["conv1/kernel"])


def test_one_without_its_best_is_of_no_use_where_that_is_needed(tmp_path: Path) -> None:
    save(tmp_path, [0, 1, 1, 1])
    (tmp_path / "000001" / "seal.json").unlink()
    assert Checkpoints(tmp_path).take_up(SHAPES, with_best=True) is None
    assert Checkpoints(tmp_path).take_up(SHAPES, with_best=False)


def test_one_of_another_network_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path, [0])
    assert Checkpoints(tmp_path).take_up(SHAPES | {"conv1/kernel": (4, 4)}, with_best=False) is None


def test_what_a_killed_process_left_half_written_does_not_count_and_goes(tmp_path: Path) -> None:
    save(tmp_path, [0])
    (tmp_path / "000001.partial").mkdir()
    (tmp_path / "000001.partial" / "progress.json").write_text("{")
    checkpoints = Checkpoints(tmp_path)
    found = checkpoints.take_up(SHAPES, with_best=False)
    assert found
    assert found.progress.epoch == 0
    with checkpoints:
        checkpoints.save(progress(3, 0), arrays(2), {})
    assert epochs_in(tmp_path) == ["000000", "000002"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_warned_of_and_earlier_checkpoints_stay(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(small_disk, [0])
    with Checkpoints(small_disk) as checkpoints, caplog.at_level(logging.WARNING):
        checkpoints.save(progress(2, 1), {"conv1/kernel": np.zeros((512, 512), np.float32)}, {})
    (record,) = caplog.records
    assert record.getMessage().startswith("epoch 1 has no checkpoint (")
    assert "No space left on device" in record.getMessage()
    assert epochs_in(small_disk) == ["000000"]
    found = Checkpoints(small_disk).take_up(SHAPES, with_best=True)
    assert found
    assert json.dumps(found.progress.history) == json.dumps(progress(1, 0).history)
