"""What a run costs besides training: time outside of `fit`, and memory that is not given back."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest import mock

import alexnet_exp.strategy.network as strategy_network
from alexnet_exp.config import RunConfig
from alexnet_exp.run import run
from benchmarks.inputs import composed, photo_folder
from benchmarks.pipeline import resident
from benchmarks.rows import Measured, Setting
from benchmarks.timing import seconds_of

TINY = (
    "model.conv.conv1.filters=8", "model.conv.conv2.filters=8", "model.conv.conv3.filters=8",
    "model.conv.conv4.filters=8", "model.conv.conv5.filters=8", "model.dense.fc6=16", "model.dense.fc7=16",
    "training.epochs=1", "dataset.limit_per_class=20",
)  # fmt: skip
MEGABYTE = 10**6
JOBS, FIRST = 20, 5  # growth is counted from the end of job FIRST


def small_run(setting: Setting) -> Measured:
    """The default experiment, two epochs."""
    return _outside_of_fit(setting, composed(setting.folder, "training.epochs=2"))


def run_227(setting: Setting) -> Measured:
    """One epoch of the 227-pixel network on some photos."""
    root = photo_folder(setting.folder / "run_227", 40 if setting.quick else 200, 256)
    dataset = ("dataset=image_folder", f"dataset.root='{root}'")
    return _outside_of_fit(setting, composed(setting.folder, "model=alexnet", "training.epochs=1", *dataset))


def _outside_of_fit(setting: Setting, config: RunConfig) -> Measured:
    """The median of the runs after the first, which may have to decode and to probe the precision."""
    outside = []
    for _ in range(2 if setting.quick else 3):
        inside: list[float] = []
        with mock.patch.object(strategy_network, "fit", _timed(strategy_network.fit, inside)):
            outside.append(seconds_of(lambda: run(config, [])) - sum(inside))
    details = f"median of {len(outside) - 1}; {outside[0]:.1f} s in the first run, which fills the caches"
    return Measured(median(outside[1:]), details)


def _timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        seconds.append(time.perf_counter() - started)
        return result

    return timed


def memory_growth(setting: Setting) -> Measured:
    """Resident memory after 20 tiny jobs less that after 5."""
    config = composed(setting.folder / "memory", *TINY)
    jobs, first = (3, 2) if setting.quick else (JOBS, FIRST)
    after = []
    for _ in range(jobs):
        run(config, [])
        after.append(resident("VmRSS") / MEGABYTE)
    growth = (after[-1] - after[first - 1]) * (JOBS - FIRST) / (jobs - first)
    extrapolated = f", extrapolated from jobs {first} to {jobs}" if setting.quick else ""
    return Measured(growth, f"{after[first - 1]:.0f} to {after[-1]:.0f} MB{extrapolated}")
