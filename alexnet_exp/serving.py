"""How MLflow loads a logged model: `mlflow.pyfunc.load_model` calls `_load_pyfunc` of this module."""

from pathlib import Path

import numpy as np

from alexnet_exp.data import ImageSet
from alexnet_exp.strategy import Fitted, load_fitted

BATCH_SIZE = 128


class Classifier:
    """A fitted classifier of raw images."""

    def __init__(self, fitted: Fitted):
        self.fitted = fitted

    def predict(self, images: np.ndarray, params: dict | None = None) -> np.ndarray:
        """Probabilities float32 `[N, classes]` of uint8 RGB images `[N, load_size, load_size, 3]`."""
        count = len(images)
        names = [str(number) for number in range(count)]
        labels = np.zeros(count, np.int32)
        image_set = ImageSet(np.asarray(images, np.uint8), np.arange(count), labels, names, names)
        return self.fitted.predict_proba(image_set, BATCH_SIZE)


def _load_pyfunc(path: str) -> Classifier:
    return Classifier(load_fitted(Path(path)))
