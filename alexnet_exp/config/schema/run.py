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


@frozen
class RunSettings:
    """What the run is called in MLflow, and what becomes of an earlier run of the same experiment.

    Attributes:
      if_exists: `reuse` returns the result of a finished one and resumes another one; `resume` resumes, but repeats a
        finished one; `rerun` always begins a new run.
    """

    name: str | None
    study: str | None
    arm: str | None
    if_exists: Literal["reuse", "resume", "rerun"]


@frozen
class TrackingConfig:
    """Where runs are kept."""

    uri: str | None
    experiment: str
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
