"""AlexNet experiments: composed with Hydra, run with Keras, tracked in MLflow."""
