"""Keras' optimizers with TensorFlow's fused update operations: one pass over the weights for each step.

The rules, their variables and what is saved are Keras' own. AlexNet's 60 million weights make the difference: see
`scripts/benchmark.py`.
"""

from typing import Any

import keras
import tensorflow as tf


def _summed_over_devices(optimizer: Any, gradients: list) -> list:
    """As Keras does it, but not for one device: TensorFlow keeps the graph of each all-reduce as long as it runs."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return gradients
    return keras.optimizers.Optimizer._all_reduce_sum_gradients(optimizer, gradients)


class Sgd(keras.optimizers.SGD):
    """`keras.optimizers.SGD`."""

    _all_reduce_sum_gradients = _summed_over_devices

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


def _adam_step(optimizer: Any, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
    index, dtype = optimizer._get_variable_index(variable), variable.dtype
    step = tf.cast(optimizer.iterations.value + 1, dtype)
    beta_1, beta_2 = tf.cast(optimizer.beta_1, dtype), tf.cast(optimizer.beta_2, dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=beta_1**step,
        beta2_power=beta_2**step,
        lr=tf.cast(learning_rate, dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.cast(optimizer.epsilon, dtype),
        grad=tf.cast(gradient, dtype),
    )


class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, without AMSGrad."""

    update_step = _adam_step
    _all_reduce_sum_gradients = _summed_over_devices


class AdamW(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, without AMSGrad."""

    update_step = _adam_step
    _all_reduce_sum_gradients = _summed_over_devices
