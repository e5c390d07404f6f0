"""One experiment."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.data import AugmentationConfig, DatasetConfig
from alexnet_exp.config.schema.fields import Count, Name, NonNegative, Place, Positive, frozen
from alexnet_exp.config.schema.model import ModelConfig
from alexnet_exp.config.schema.strategy import StrategyConfig, WeightsConfig
from alexnet_exp.config.schema.training import OptimizerConfig, ScheduleConfig, TrainingConfig


@frozen
class EvaluationConfig:
    """How predictions and features are computed.

    Attributes:
      batch_size: of images that are only looked at; does not change the result.
      views: predictions, or features, are averaged over the centre, also its mirror image, or the ten crops of
        Krizhevsky et al. 2012.
      test_each_epoch: also logs `test/accuracy` after each epoch, as some publications do; it selects nothing.
    """

    batch_size: Count
    views: Literal["center", "mirror", "ten_crop"]
    test_each_epoch: bool


@frozen
class RunSettings:
    """What the run is called in MLflow, and its part in a sweep.

    Attributes:
      name: null makes one from strategy, dataset and seed.
      study: the tag that groups the runs of a sweep.
      arm: the tag that names one setting within the study.
      baseline: the arm that this one is compared with.
      fail_fast: whether a failing job ends the sweep.
      trial: its number where Optuna proposed it.
      if_exists: an earlier run of the same experiment: `reuse` returns the result of a finished one and resumes another
        one; `resume` resumes, but repeats a finished one; `rerun` always begins a new run.
    """

    name: Name | None
    study: Name | None
    arm: Name | None
    baseline: Name | None
    fail_fast: bool
    trial: int | None
    if_exists: Literal["reuse", "resume", "rerun"]


@frozen
class TrackingConfig:
    """Where runs are kept.

    Attributes:
      uri: the MLflow store; null is the project's own, `mlruns/mlflow.db`.
      experiment: the MLflow experiment.
      figures: whether a run draws its figures: some seconds, which a sweep of thousands may save.
      tensorboard: a folder that also gets the metrics of each epoch, for TensorBoard.
      flush_seconds: how long a run that ends waits for a store that does not answer; `scripts/runs.py sync` delivers
        later.
    """

    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]
    figures: bool
    tensorboard: Place | None
    flush_seconds: Positive


@frozen
class Paths:
    """Folders of data, caches and the state of runs.

    Attributes:
      data: data sets, and pretrained weights in `weights/`.
      cache: decoded images and activations; can be deleted at any time.
      state: journals and checkpoints of runs, until the store has them.
    """

    data: Place
    cache: Place
    state: Place


@frozen
class CacheConfig:
    """The activations of frozen layers, kept on disk under `paths.cache`.

    Attributes:
      max_gb: what they may take; the least recently used make room, and 0 keeps none.
      dtype: `float16` takes half the disk and rounds; what is kept already then decides the last digits of a run.
    """

    max_gb: NonNegative
    dtype: Literal["float16", "float32"]


@frozen
class RunConfig:
    """One experiment.

    Attributes:
      seed: decides initial weights, batches and augmentation; the split has a seed of its own, `dataset.split_seed`.
    """

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
