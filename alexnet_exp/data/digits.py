"""scikit-learn's 1,797 handwritten digits, shipped with the library."""

import numpy as np
from PIL import Image

from alexnet_exp.data.decode import Resize, to_square


def digits_images(size: int, resize: Resize) -> tuple[np.ndarray, list[str], list[str], list[str]]:
    """Returns uint8 images `[1797, size, size, 3]`, and for each one its id, its class and its part.

    Source: UCI Optical Recognition of Handwritten Digits, 8x8 pixels of 17 grey levels.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.round(data.images * (255 / 16)).astype(np.uint8)
    store = np.stack([to_square(Image.fromarray(image).convert("RGB"), size, resize) for image in grey])
    names = [f"{number:04d}" for number in range(len(store))]
    return store, names, [str(label) for label in data.target], ["train"] * len(store)
