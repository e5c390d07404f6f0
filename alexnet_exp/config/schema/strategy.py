"""Where the weights come from, and what is done with them."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Positive, frozen


@frozen
class NoWeights:
    """Random initialisation."""

    name: str
    kind: Literal["none"]


@frozen
class FileWeights:
    """Pretrained layers from a file, which is downloaded where it is missing and has an address.

    `checksum` is `algorithm:hexdigest` or the beginning of it; `models` are those that the weights fit, null for any.
    """

    name: str
    kind: Literal["file"]
    path: str
    url: Annotated[str, Field(pattern="^https?://")] | None
    checksum: Annotated[str, Field(pattern="^(sha1|sha256):[0-9a-f]{8,64}$")] | None
    models: list[str] | None
    fresh: list[str]


@frozen
class RunWeights:
    """Pretrained layers of an earlier run."""

    name: str
    kind: Literal["run"]
    run_id: str
    fresh: list[str]


Scaling = Literal["none", "standardize", "sqrt_l2"]
WeightsConfig = Annotated[NoWeights | FileWeights | RunWeights, Field(discriminator="kind")]


@frozen
class Scratch:
    """All layers train from random initialisation.

    `ignore_weights`: whether `weights` is that of the other arms of a study; without it, weights are a mistake.
    """

    name: Literal["scratch"]
    ignore_weights: bool


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
    crops: Count
    scaling: Scaling
    components: Count | None
    kernel: Literal["linear", "rbf"]
    c: Annotated[list[Positive], Field(min_length=1)]


@frozen
class FeaturesMlp:
    """A hidden layer and a softmax on the activations of the layer `cut`."""

    name: Literal["features_mlp"]
    cut: str
    crops: Count
    scaling: Scaling
    input_dropout: Fraction
    units: Count
    dropout: Fraction
    epochs: Count


StrategyConfig = Annotated[Scratch | Finetune | FeaturesSvm | FeaturesMlp, Field(discriminator="name")]
