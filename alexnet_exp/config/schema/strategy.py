"""Where the weights come from, and what is done with them."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet_exp.config.schema.fields import Count, Fraction, Place, Positive, frozen


@frozen
class NoWeights:
    """Random initialisation.

    Attributes:
      name: what it is called in MLflow.
    """

    name: str
    kind: Literal["none"]


@frozen
class FileWeights:
    """Pretrained layers from a file, which is downloaded where it is missing and has an address.

    Attributes:
      name: what it is called in MLflow.
      path: a .safetensors or .keras file, or one of the formats of `scripts/convert_weights.py`.
      url: from which a missing file is downloaded.
      checksum: `sha256:` or `sha1:` with the digest or its first digits.
      models: names of the models that the weights fit; null tries any.
      fresh: layers that are not taken from the file but start anew.
    """

    name: str
    kind: Literal["file"]
    path: Place
    url: Annotated[str, Field(pattern="^https?://")] | None
    checksum: Annotated[str, Field(pattern="^(sha1|sha256):[0-9a-f]{8,64}$")] | None
    models: list[str] | None
    fresh: list[str]


@frozen
class RunWeights:
    """Pretrained layers of an earlier run.

    Attributes:
      name: what it is called in MLflow.
      run_id: the id of the MLflow run.
      fresh: layers that are not taken from the run but start anew.
    """

    name: str
    kind: Literal["run"]
    run_id: str
    fresh: list[str]


Scaling = Literal["none", "standardize", "sqrt_l2"]
WeightsConfig = Annotated[NoWeights | FileWeights | RunWeights, Field(discriminator="kind")]


@frozen
class Scratch:
    """All layers train from random initialisation.

    Attributes:
      ignore_weights: takes `weights` as meant for the other arms of a study; otherwise they are a mistake.
    """

    name: Literal["scratch"]
    ignore_weights: bool


@frozen
class Stage:
    """One stage of fine-tuning.

    Attributes:
      layers: those that train, with their normalisation; all others stay as they are.
      epochs: of the stage.
      learning_rate: takes the place of the optimizer's.
    """

    layers: Annotated[list[str], Field(min_length=1)]
    epochs: Count
    learning_rate: Positive


@frozen
class Finetune:
    """Stages of training, each with an optimizer of its own.

    Attributes:
      stages: in the order in which they train.
    """

    name: Literal["finetune"]
    stages: Annotated[list[Stage], Field(min_length=1)]


@frozen
class FeaturesSvm:
    """A support vector machine on the activations of a layer.

    Attributes:
      cut: the layer, or the pooling, whose output the machine learns on.
      crops: averages the features over so many positions in each direction: shifted crops of a larger input, in one
        pass.
      scaling: of the features: none, `standardize` each, or `sqrt_l2`, the square root and then unit length.
      components: principal components that are kept, at most one an image; null keeps the features.
      kernel: of the machine.
      c: values of `C`; the one that is best on val is taken.
    """

    name: Literal["features_svm"]
    cut: str
    crops: Count
    scaling: Scaling
    components: Count | None
    kernel: Literal["linear", "rbf"]
    c: Annotated[list[Positive], Field(min_length=1)]


@frozen
class FeaturesMlp:
    """A hidden layer and a softmax on the activations of a layer.

    Attributes:
      cut: the layer, or the pooling, whose output they learn on.
      crops: averages the features over so many positions in each direction: shifted crops of a larger input, in one
        pass.
      scaling: of the features: none, `standardize` each, or `sqrt_l2`, the square root and then unit length.
      input_dropout: of the features.
      units: of the hidden layer.
      dropout: of the hidden layer.
      epochs: of training; the rate is the optimizer's.
    """

    name: Literal["features_mlp"]
    cut: str
    crops: Count
    scaling: Scaling
    input_dropout: Fraction
    units: Count
    dropout: Fraction
    epochs: Count


StrategyConfig = Annotated[Scratch | Finetune | FeaturesSvm | FeaturesMlp, Field(discriminator="name")]
