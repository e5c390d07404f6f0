"""Where the weights come from, and what is done with them."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Positive, frozen


@frozen
class NoWeights:
    """Random initialisation."""

    name: Literal["none"]


@frozen
class FileWeights:
    """Pretrained layers from a file."""

    name: Literal["file"]
    path: str
    fresh: list[str]


@frozen
class RunWeights:
    """Pretrained layers of an earlier run."""

    name: Literal["run"]
    run_id: str
    fresh: list[str]


WeightsConfig = Annotated[NoWeights | FileWeights | RunWeights, Field(discriminator="name")]


@frozen
class Scratch:
    """All layers train from random initialisation."""

    name: Literal["scratch"]


@frozen
class Stage:
    """One stage of fine-tuning: the layers that train, and how."""

    layers: Annotated[list[str], Field(min_length=1)]
    epochs: Count
    learning_rate: Positive


@frozen
class Finetune:
    """The stages of fine-tuning, in order."""

    name: Literal["finetune"]
    stages: Annotated[list[Stage], Field(min_length=1)]


@frozen
class FeaturesSvm:
    """A support vector machine on the activations of the layer `cut`."""

    name: Literal["features_svm"]
    cut: str
    kernel: Literal["linear", "rbf"]
    c: Annotated[list[Positive], Field(min_length=1)]
    scale: bool


@frozen
class FeaturesMlp:
    """A hidden layer and a softmax on the activations of the layer `cut`."""

    name: Literal["features_mlp"]
    cut: str
    units: Count
    dropout: Fraction
    epochs: Count


StrategyConfig = Annotated[Scratch | Finetune | FeaturesSvm | FeaturesMlp, Field(discriminator="name")]
