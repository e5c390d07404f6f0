"""Which part of an image speaks for a class."""

import keras
import numpy as np
import tensorflow as tf


def grad_cam(
    network: keras.Model, classifier: keras.Model | None, images: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """Grad-CAM (Selvaraju et al. 2017) on the last convolution before the classifier.

    Args:
      network: from images to probabilities, or to features where there is a `classifier`.
      classifier: from features to probabilities.
      images: uint8 `[B, size, size, 3]`.
      classes: int `[B]`, the class asked for in each image.

    Returns:
      float32 `[B, h, w]` from 0 to 1, the size of the convolution's output.
    """
    last = [layer.output for layer in network.layers if layer.name.endswith("_activation") and layer.output.ndim == 4][
        -1
    ]
    if classifier is None:
        logits = keras.Model(last, network.get_layer("probabilities").input)
    else:
        features = keras.Model(last, network.output)
        head = keras.Model(classifier.input, classifier.get_layer("probabilities").input)
        logits = keras.Sequential([features, head])
    maps = keras.Model(network.input, last)(images, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scores = logits(maps, training=False)
        asked = tf.reduce_sum(tf.gather(scores, classes, axis=1, batch_dims=1))
    weights = tf.reduce_mean(tf.cast(tape.gradient(asked, maps), tf.float32), axis=(1, 2), keepdims=True)
    evidence = np.maximum(tf.reduce_sum(weights * tf.cast(maps, tf.float32), axis=-1).numpy(), 0)
    most = evidence.max(axis=(1, 2), keepdims=True)
    return np.divide(evidence, most, out=np.zeros_like(evidence), where=most > 0)
