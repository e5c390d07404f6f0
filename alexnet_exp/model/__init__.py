"""AlexNet in Keras, from its configuration to a model with pretrained weights."""

from alexnet_exp.model.alexnet import build_alexnet

__all__ = ["build_alexnet"]
