"""A log is what TensorBoard reads, without TensorBoard."""

from pathlib import Path

import pytest
import tensorflow as tf

from alexnet_exp.errors import UserError
from alexnet_exp.training.tensorboard import tensorboard_log


def test_each_metric_is_a_scalar_of_its_epoch(tmp_path: Path) -> None:
    log_epoch = tensorboard_log(tmp_path / "board" / "run")
    log_epoch(0, {"train/loss": 1.5, "val/accuracy": 0.25})
    log_epoch(1, {"train/loss": 1.0})
    (file,) = (tmp_path / "board" / "run").glob("events.out.tfevents.*")
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(file))]
    found = [(event.step, value) for event in events for value in event.summary.value]
    assert [(step, value.tag, tf.make_ndarray(value.tensor).item()) for step, value in found] == [
        (0, "train/loss", 1.5),
        (0, "val/accuracy", 0.25),
        (1, "train/loss", 1.0),
    ]
    assert {value.metadata.plugin_data.plugin_name for _, value in found[:2]} == {"scalars"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"^tracking\.tensorboard: expected a folder that can be written to.*"
    ) as caught:
        tensorboard_log(tmp_path / "file" / "run")
    assert "\n" not in str(caught.value)
