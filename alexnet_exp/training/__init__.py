"""Training of a Keras model on batches, and the outputs of its frozen part."""
