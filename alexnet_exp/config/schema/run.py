"""One experiment."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.data import AugmentationConfig, DatasetConfig
from alexnet_exp.config.schema.fields import Count, NonNegative, Positive, frozen
from alexnet_exp.config.schema.model import ModelConfig
from alexnet_exp.config.schema.strategy import StrategyConfig, WeightsConfig
from alexnet_exp.config.schema.training import OptimizerConfig, ScheduleConfig, TrainingConfig


@frozen
class EvaluationConfig:
    """How predictions and features are computed."""

    batch_size: Count
    views: Literal["center", "mirror", "ten_crop"]
    test_each_epoch: bool


@frozen
class RunSettings:
    """What the run is called in MLflow, and its part in a sweep.

    Attributes:
      baseline: the arm that this one is compared with.
      fail_fast: whether a failing job ends the sweep.
      if_exists: an earlier run of the same experiment: `reuse` returns the result of a finished one and resumes another
        one; `resume` resumes, but repeats a finished one; `rerun` always begins a new run.
    """

    name: str | None
    study: str | None
    arm: str | None
    baseline: str | None
    fail_fast: bool
    trial: int | None
    if_exists: Literal["reuse", "resume", "rerun"]


@frozen
class TrackingConfig:
    """Where runs are kept."""

    uri: str | None
    experiment: str
    figures: bool
    tensorboard: str | None
    flush_seconds: Positive


@frozen
class Paths:
    """Folders of data, caches and the state of runs."""

    data: str
    cache: str
    state: str


@frozen
class CacheConfig:
    """The activations of frozen layers, kept on disk under `paths.cache`."""

    max_gb: NonNegative
    dtype: Literal["float16", "float32"]


@frozen
class RunConfig:
    """One experiment. `run`, `tracking`, `paths` and `cache.max_gb` do not change its result; everything else does."""

    model: ModelConfig
    dataset: DatasetConfig
    augmentation: AugmentationConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    weights: WeightsConfig
    strategy: StrategyConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)]
    run: RunSettings
    tracking: TrackingConfig
    cache: CacheConfig
    paths: Paths
