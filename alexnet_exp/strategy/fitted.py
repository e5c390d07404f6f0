"""What every strategy ends with: a classifier of images that can be saved and loaded."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import skops.io

from alexnet_exp.checksums import read_sealed, write_sealed
from alexnet_exp.data import ImageSet
from alexnet_exp.data.decode import Resize
from alexnet_exp.data.views import Views, cut_view, view_names
from alexnet_exp.errors import WeightsError
from alexnet_exp.training.activation_store import ActivationStore
from alexnet_exp.training.activations import outputs
from alexnet_exp.training.grad_cam import grad_cam

SETTINGS = ("views", "load_size", "resize", "megapixels", "class_names")  # kept in fitted.json
SKOPS_TRUSTED = [  # classes of scikit-learn that skops does not trust by itself
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._TemperatureScaling",
]


@dataclass(frozen=True)
class Fitted:
    """A trained classifier; a network alone and a network with a classifier on its features look the same.

    Attributes:
      network: from uint8 RGB images to probabilities, or to features where there is a `classifier`.
      classifier: from features `[N, D]` to probabilities: a scikit-learn estimator or a Keras model.
      views: over which the network's outputs are averaged.
      load_size: height and width of the images that are classified, in pixels.
      resize: how image files become squares of this size.
      megapixels: what a file may have at most.
      class_names: one for each column of the probabilities.
      history: for each epoch (or setting) its metrics.
      kept: the index in `history` of the epoch (or setting) whose weights these are.
    """

    network: keras.Model
    classifier: Any
    views: Views
    load_size: int
    resize: Resize
    megapixels: float
    class_names: list[str]
    history: list[dict[str, Any]] = field(default_factory=list)
    kept: int = -1

    def predict_proba(self, images: ImageSet, batch_size: int, store: ActivationStore | None = None) -> np.ndarray:
        """Probabilities float32 `[N, classes]` of images of `load_size` pixels; `store` keeps their features."""
        features_store = None if self.classifier is None else store
        return self._classified(outputs(self.network, images, self.views, batch_size, features_store), batch_size)

    def predict_batch(self, pixels: np.ndarray) -> np.ndarray:
        """As `predict_proba`, of uint8 RGB images `[B, load_size, load_size, 3]` that are one batch."""
        views = [cut_view(pixels, name, self.network.input_shape[1]) for name in view_names(self.views)]
        total = sum(self.network.predict_on_batch(view) for view in views)
        return self._classified(np.asarray(total, np.float32) / len(views), len(pixels))

    def _classified(self, outputs: np.ndarray, batch_size: int) -> np.ndarray:
        """Probabilities from what the network gives, averaged over the views."""
        if isinstance(self.classifier, keras.Model):
            outputs = self.classifier.predict(outputs, batch_size=batch_size, verbose=0)
        elif self.classifier is not None:
            outputs = self.classifier.predict_proba(outputs)
        return np.asarray(outputs, np.float32)

    def features(self, images: ImageSet, batch_size: int) -> np.ndarray:
        """What the classifier reads, or the input of the network's own head, float32 `[N, D]`; of the central view."""
        size = self.network.input_shape[1]
        extractor = self.network
        if self.classifier is None:
            extractor = keras.Model(self.network.input, self.network.get_layer("head").input)
        pieces = []
        for start in range(0, len(images), batch_size):  # without a predict function: tracing one takes longer
            pixels = cut_view(images.take(slice(start, start + batch_size)), "center", size)
            pieces.append(np.asarray(keras.ops.cast(extractor(pixels, training=False), "float32")))
        return np.concatenate(pieces)

    @property
    def has_gradient(self) -> bool:
        """Whether Grad-CAM is possible: not with a scikit-learn classifier."""
        return self.classifier is None or isinstance(self.classifier, keras.Model)

    def grad_cam(self, pixels: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which part of each image speaks for its class, int `[B]`.

        Args:
          pixels: uint8 `[B, load_size, load_size, 3]`.
          classes: for each image the class asked for.

        Returns:
          The central view of the images, uint8 `[B, size, size, 3]`, and its maps, float32 `[B, h, w]` from 0 to 1.
        """
        view = cut_view(pixels, "center", self.network.input_shape[1])
        return view, grad_cam(self.network, self.classifier, view, classes)

    @property
    def val_accuracy(self) -> float:
        """Accuracy on val of the epoch (or setting) that was kept."""
        return float(self.history[self.kept]["val/accuracy"])

    @cached_property
    def parameters(self) -> int:
        """Number of weights of the networks; a scikit-learn classifier's are not counted."""
        head = self.classifier.count_params() if isinstance(self.classifier, keras.Model) else 0
        return self.network.count_params() + head

    def save(self, folder: Path) -> None:
        """Writes `network.keras`, `classifier.keras` or `classifier.skops`, and `fitted.json` into an empty `folder`.

        `fitted.json` holds the settings and the SHA-256 of each other file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _without_optimizer(self.network).save(folder / "network.keras")
        if isinstance(self.classifier, keras.Model):
            _without_optimizer(self.classifier).save(folder / "classifier.keras")
        elif self.classifier is not None:
            skops.io.dump(self.classifier, folder / "classifier.skops")
        settings = {name: getattr(self, name) for name in SETTINGS}
        write_sealed(folder / "fitted.json", settings)


def load_fitted(folder: Path) -> Fitted:
    """Reads what `Fitted.save` wrote; nothing in it is a pickle.

    Raises:
      WeightsError: when a file differs from its checksum, or another version wrote other settings.
    """
    settings = read_sealed(folder / "fitted.json")
    if settings.keys() != set(SETTINGS):
        expected, received = (", ".join(sorted(names)) for names in (SETTINGS, settings))
        raise WeightsError(f"{folder / 'fitted.json'}: expected {expected}. Received: {received}")
    network = keras.saving.load_model(folder / "network.keras", compile=False)
    classifier = None
    if (folder / "classifier.keras").exists():
        classifier = keras.saving.load_model(folder / "classifier.keras", compile=False)
    elif (folder / "classifier.skops").exists():
        classifier = skops.io.load(folder / "classifier.skops", trusted=SKOPS_TRUSTED)
    return Fitted(network=network, classifier=classifier, **settings)


def _without_optimizer(network: keras.Model) -> keras.Model:
    """The same layers, not compiled: the state of Adam is twice the size of the weights."""
    return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
