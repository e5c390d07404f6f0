"""A log for TensorBoard. Writing it takes TensorFlow alone; TensorBoard itself is an extra."""

from pathlib import Path

import tensorflow as tf

from alexnet_exp.errors import UserError, one_line
from alexnet_exp.training.fit import Metrics, OnEpoch

SCALARS = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


def tensorboard_log(folder: Path) -> OnEpoch:
    """Returns a function that appends an epoch's metrics to an event file in `folder`, which is made.

    Raises:
      UserError: when it cannot be made or written to.
    """
    try:
        writer = tf.summary.create_file_writer(str(folder))
        writer.init()
    except (tf.errors.OpError, OSError) as error:
        raise UserError(
            f"tracking.tensorboard: expected a folder that can be written to. Received: {folder} ({one_line(error)})"
        ) from None

    def log_epoch(step: int, metrics: Metrics) -> None:
        with writer.as_default(step):
            for name, value in metrics.items():
                tf.summary.write(name, value, metadata=SCALARS)
        writer.flush()

    return log_epoch
