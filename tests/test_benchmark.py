"""The benchmark counts, pairs and reports as it says; what cannot be measured does not stop the other rows."""

import json
import sys
import time
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest

from tests.conftest import REPO, TINY


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    import benchmark

    return benchmark


def test_flops_are_counted_by_hand(benchmark: ModuleType) -> None:
    from benchmarks.steps import training_flops

    convolution = keras.layers.Conv2D(4, 3)
    network = keras.Sequential([keras.Input((8, 8, 3)), convolution, keras.layers.Flatten(), keras.layers.Dense(10)])
    adds = {"convolution": 6 * 6 * 3 * 3 * 3 * 4, "dense": 6 * 6 * 4 * 10}
    assert training_flops(network) == 2 * (2 * adds["convolution"] + 3 * adds["dense"])


def test_the_sides_take_turns_and_one_slow_round_does_not_count(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import timing

    order: list[str] = []
    values = {"a": iter([1.0, 9.0, 1.0]), "b": iter([2.0, 2.0, 2.0])}

    def side(name: str) -> float:
        order.append(name)
        return next(values[name])

    monkeypatch.setattr(timing, "MOST_ROUNDS", 3)
    pairs = timing.in_turns(lambda: side("a"), lambda: side("b"), seconds=60)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert pairs == [(1.0, 2.0), (9.0, 2.0), (1.0, 2.0)]
    assert timing.median_ratio(pairs) == 0.5


def test_no_round_begins_that_would_not_end_in_time(benchmark: ModuleType) -> None:
    from benchmarks import timing

    assert timing.in_turns(lambda: 1.0, lambda: 2.0, seconds=0.0) == [(1.0, 2.0)]
    rounds = timing.in_turns(lambda: time.sleep(0.1) or 1.0, lambda: 2.0, seconds=0.35)
    assert 2 <= len(rounds) <= 3


def test_a_round_of_fine_tuning_is_extrapolated_from_its_later_epochs(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import transfer

    clock = iter([0.0, 5.0, 7.0, 9.0, 9.0])  # begins, three epochs end, ends
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert transfer._seconds_of_round(lambda on_epoch: [on_epoch() for _ in range(3)] and None) == 9.0 + 7 * 2.0


@pytest.mark.parametrize(("at", "met"), [("least", [False, True]), ("most", [True, False])])
def test_goals_are_met_at_their_own_side(benchmark: ModuleType, at: str, met: list[bool]) -> None:
    from benchmarks.rows import Goal, Measured

    goal = Goal("name", "module.function", "what", 0.5, at)
    assert [goal.row(Measured(value, ""), 1.0).met for value in (0.4, 0.6)] == met


def test_a_row_that_fails_says_why_and_the_file_is_written(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goals = [benchmark.Goal(name, f"rows.{name}", "nothing", 1.0, "least", "s") for name in ("fit", "peak", "towers")]
    output = tmp_path / "rows.json"
    monkeypatch.setattr(benchmark, "GOALS", goals)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--quick", "--only", "fit", "towers", "--output", str(output)])
    benchmark.main()
    content = json.loads(output.read_text())
    assert content["machine"]["cores"] >= 1
    assert [row["name"] for row in content["rows"]] == ["fit", "towers"]
    for row in content["rows"]:
        assert row.keys() == {"name", "what", "ratio", "target", "at", "unit", "met", "details", "seconds"}
        assert row["ratio"] is row["met"] is None
        assert row["details"].startswith("AttributeError")
    assert "0 of 0 measured rows met" in capsys.readouterr().out


def test_every_goal_has_a_measurement(benchmark: ModuleType) -> None:
    for goal in benchmark.GOALS:
        module, _, function = goal.function.rpartition(".")
        assert (
            f"\ndef {function}(setting: Setting) -> Measured:"
            in (REPO / "scripts" / "benchmarks" / f"{module}.py").read_text()
        ), goal.name


def test_the_peak_of_memory_is_seen_after_it_is_freed(benchmark: ModuleType) -> None:
    from benchmarks.pipeline import AnonymousMemory, resident

    with AnonymousMemory() as memory:
        before = resident("RssAnon")
        block = np.ones(100_000_000, np.uint8)
        time.sleep(0.1)
        del block
    assert memory.peak > before + 90_000_000


def test_a_fit_and_a_bare_step_are_timed(benchmark: ModuleType, tmp_path: Path) -> None:
    from benchmarks.inputs import composed, generated_splits
    from benchmarks.steps import BareStep, fit_epoch_seconds

    config = composed(tmp_path, *TINY)
    bare = BareStep(config, 10)
    assert 0 < bare.seconds(2) < 10
    seen: list[int] = []
    splits = generated_splits(64, 10, 10, 32, 10)
    assert 0 < fit_epoch_seconds(bare.network, config, splits, 2, lambda step, _: seen.append(step)) < 10
    assert seen == [0, 1]
