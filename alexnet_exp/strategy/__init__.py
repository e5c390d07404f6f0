"""The ways to get from images to a classifier."""

from collections.abc import Callable

from alexnet_exp.config.schema import RunConfig
from alexnet_exp.data import Splits
from alexnet_exp.model.weights import Pretrained
from alexnet_exp.strategy.features import features_mlp, features_svm
from alexnet_exp.strategy.finetune import finetune
from alexnet_exp.strategy.fitted import Fitted, load_fitted
from alexnet_exp.strategy.scratch import scratch
from alexnet_exp.training.checkpoint import Checkpoints
from alexnet_exp.training.fit import OnEpoch

Strategy = Callable[[RunConfig, Splits, Pretrained | None, OnEpoch, Checkpoints | None], Fitted]

STRATEGIES: dict[str, Strategy] = {
    "scratch": scratch,
    "finetune": finetune,
    "features_svm": features_svm,
    "features_mlp": features_mlp,
}

__all__ = ["STRATEGIES", "Fitted", "load_fitted"]
