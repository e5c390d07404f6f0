"""The outputs of a network, averaged over the views of each image."""

import keras
import numpy as np

from alexnet_exp.console import track
from alexnet_exp.data import ImageSet
from alexnet_exp.data.batches import steps_per_epoch, view_batches
from alexnet_exp.data.views import Views, view_names


def outputs(network: keras.Model, images: ImageSet, views: Views, batch_size: int) -> np.ndarray:
    """The network's outputs: probabilities of a whole network, features of a cut one.

    Returns:
      float32 `[N, D]`, the mean over the views.
    """
    names = view_names(views)
    size = network.input_shape[1]
    total = np.zeros((len(images), network.output_shape[-1]), np.float32)
    for name in names:
        start = 0
        batches = view_batches(images, name, size, batch_size)
        for batch in track(batches, f"{network.name}, {name}", steps_per_epoch(images, batch_size)):
            result = network.predict_on_batch(batch)
            total[start : start + len(result)] += result
            start += len(result)
    return total / len(names)
