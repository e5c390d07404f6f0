"""What a job will take: from runs like it where some have finished, else from the arithmetic of its network."""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from alexnet_exp.config.layer_table import layer_table
from alexnet_exp.config.schema import FeaturesMlp, FeaturesSvm, Finetune, RunConfig
from alexnet_exp.data.files import list_images
from alexnet_exp.evaluation.arms import SECONDS

DIGITS = 1797
CLASSES = 10  # where nobody has counted them: the head is small
TRAINING = 3.0  # forward and backward pass by the forward pass alone
EFFICIENCY = 0.7  # of a network in TensorFlow, by a matrix product in NumPy
START = 6.0  # seconds of a run beside the network: data, figures, model
RUN_BYTES = 1_500_000  # of a run's figures, predictions, code and logs


@dataclass(frozen=True)
class Estimate:
    """What one job takes, and where its time is known from."""

    seconds: float
    megabytes: float
    source: str


def estimate(config: RunConfig, finished: pd.DataFrame, alike: pd.DataFrame) -> Estimate:
    """Time and disk of a job.

    Args:
      config: of the job.
      finished: runs of the same arm.
      alike: finished runs, with the same dataset, model and strategy among them.
    """
    parameters = sum(layer.parameters for layer in layer_table(config.model, CLASSES))
    megabytes = (4 * parameters + RUN_BYTES) / 1e6
    if len(finished):
        return Estimate(finished[SECONDS].mean(), megabytes, f"{len(finished)} of its runs")
    alike = _alike(config, alike)
    if len(alike):
        scale = config.training.epochs / alike["params.training.epochs"].astype(int)
        source = f"{len(alike)} runs alike"
        return Estimate((alike[SECONDS] * scale).mean(), megabytes, source)
    return Estimate(_by_arithmetic(config), megabytes, "multiply-adds (rough)")


def _alike(config: RunConfig, runs: pd.DataFrame) -> pd.DataFrame:
    if runs.empty:
        return runs
    wanted = {
        "tags.dataset": config.dataset.name,
        "tags.model": config.model.name,
        "tags.strategy": config.strategy.name,
        "params.dataset.limit_per_class": str(config.dataset.limit_per_class),
    }
    return runs[(runs[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def _by_arithmetic(config: RunConfig) -> float:
    work = 2.0 * sum(layer.multiply_adds for layer in layer_table(config.model, CLASSES))
    return START + work * _images(config) * _passes(config) / (EFFICIENCY * _flops())


def _passes(config: RunConfig) -> float:
    """How often the network sees the images, in forward passes."""
    match config.strategy:
        case Finetune(stages=stages):
            return TRAINING * sum(stage.epochs for stage in stages)
        case FeaturesSvm() | FeaturesMlp():
            return 1.0
        case _:
            return TRAINING * config.training.epochs


def _images(config: RunConfig) -> int:
    """To learn from, or all where the data does not say which those are."""
    dataset = config.dataset
    if dataset.source == "digits" or dataset.root is None:
        count, classes = DIGITS, CLASSES
    else:
        files = [file for file in list_images(Path(dataset.root), dataset.limits) if file.part != "test"]
        count, classes = len(files), len({file.class_name for file in files})
    return min(count, classes * (dataset.limit_per_class or count))


@cache
def _flops() -> float:
    """Of a matrix product on this machine, a second; the best of some, as others may use it too."""
    some = np.ones((1024, 1024), np.float32)

    def seconds() -> float:
        started = time.perf_counter()
        some @ some
        return time.perf_counter() - started

    return 2 * 1024**3 / min(seconds() for _ in range(20))
