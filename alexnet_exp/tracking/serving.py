"""How MLflow loads and serves a logged model: `mlflow.pyfunc.load_model` calls `_load_pyfunc` of this module."""

import base64
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.strategy import Fitted, load_fitted

BATCH_SIZE = 128


class Classifier:
    """A fitted classifier of images, for any number of threads."""

    def __init__(self, fitted: Fitted):
        self.fitted = fitted
        self._lock = threading.Lock()  # TensorFlow uses all cores for one request; Pillow's limit is the process's

    def predict(self, images: Any, params: dict | None = None) -> pd.DataFrame:
        """Classifies images.

        Args:
          images: each is an image file, as bytes or as text in base64, or uint8 RGB pixels
            `[load_size, load_size, 3]`, as an array or as nested lists.

        Returns:
          A row for each image, and a column with the probabilities of each class, float32.

        Raises:
          MlflowException: when one is no image, or of another size; as an answer of a server it has the status 400.
        """
        with self._lock, pixel_limit(self.fitted.megapixels):
            pixels = [self._pixels(number, image) for number, image in enumerate(images)]
            batches = [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
            probabilities = [self.fitted.predict_batch(np.stack(batch)) for batch in batches]
        if not probabilities:
            raise _bad_request("expected at least one image. Received: none")
        return pd.DataFrame(np.concatenate(probabilities), columns=self.fitted.class_names)

    def _pixels(self, number: int, image: Any) -> np.ndarray:
        size = self.fitted.load_size
        if isinstance(image, str | bytes):
            try:
                content = base64.b64decode(image) if isinstance(image, str) else image
                return decode(content, size, self.fitted.resize)
            except (BadImage, ValueError) as error:
                raise _bad_request(f"image {number}: expected an image file in base64. Received: {error}") from None
        pixels = _array(image)
        if pixels.shape != (size, size, 3) or pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() > 255:
            raise _bad_request(
                f"image {number}: expected pixels [{size}, {size}, 3] from 0 to 255, or an image file in base64. "
                f"Received: {pixels.dtype} {list(pixels.shape)}"
            )
        return pixels.astype(np.uint8)


def _array(image: Any) -> np.ndarray:
    """Nested lists as an array; MLflow makes an array of objects of them."""
    if isinstance(image, np.ndarray) and image.dtype != object:
        return image
    try:
        return np.array(image.tolist() if isinstance(image, np.ndarray) else image)
    except ValueError:  # lists of several lengths
        return np.array(None)


def _bad_request(message: str) -> MlflowException:
    error = MlflowException(message, BAD_REQUEST)
    error.json_kwargs = {"message": message}  # otherwise the server puts the whole request before it
    return error


def _load_pyfunc(path: str) -> Classifier:
    return Classifier(load_fitted(Path(path)))
