"""How much of the machine a training step of the 227-pixel network uses, and how much of it is left of `fit`."""

from statistics import median

from alexnet_exp.model import build_alexnet
from alexnet_exp.tracking.lifecycle import TrackedRun
from alexnet_exp.tracking.store import open_store
from alexnet_exp.tracking.tracker import Tracker
from alexnet_exp.training.precision import choose_precision
from benchmarks.inputs import CLASSES, generated_splits, network_227
from benchmarks.rows import Measured, Setting
from benchmarks.steps import BareStep, batch_of, fit_epoch_seconds, matrix_product, training_flops
from benchmarks.timing import in_turns, median_ratio, medians

TOWERS = ("model.conv.conv2.groups=2", "model.conv.conv4.groups=2", "model.conv.conv5.groups=2")


def whole_fit(setting: Setting) -> Measured:
    """Images/s of `fit`, with pipeline, validation of 8 images and logging to MLflow, against bare steps."""
    epochs, steps = 2, 3
    config = network_227(setting, "augmentation=krizhevsky2012")
    precision = choose_precision(config.training, config.model, setting.cache)
    size = config.augmentation.load_size or config.model.input_size
    splits = generated_splits(steps * config.training.batch_size, 8, 8, size, CLASSES)
    bare = BareStep(config, CLASSES)
    network = build_alexnet(config.model, CLASSES)
    experiment = open_store(config.tracking.uri, config.tracking.experiment)
    with TrackedRun(config, experiment, []) as tracked:
        tracker = tracked.begin(config)
        assert isinstance(tracker, Tracker)
        pairs = in_turns(
            lambda: bare.seconds((epochs - 1) * steps),
            lambda: fit_epoch_seconds(network, config, splits, epochs, tracker.log_epoch) / steps,
            setting.seconds,
        )
    speeds = [config.training.batch_size / seconds for seconds in medians(pairs)]
    details = f"{speeds[1]:.0f} against {speeds[0]:.0f} images/s, {batch_of(config, precision)}"
    return Measured(median_ratio(pairs), details)


def matrix_peak(setting: Setting) -> Measured:
    """FLOP/s of a bare training step against a product of two matrices of 4096 x 4096 in the same type."""
    config = network_227(setting)
    precision = choose_precision(config.training, config.model, setting.cache)
    bare, product = BareStep(config, CLASSES), matrix_product(precision)
    flops = training_flops(bare.network) * config.training.batch_size
    pairs = in_turns(lambda: flops / bare.seconds(2), product, setting.seconds)
    speeds = [flop_rate / 1e9 for flop_rate in medians(pairs)]
    details = f"{speeds[0]:.0f} against {speeds[1]:.0f} GFLOP/s, {batch_of(config, precision)}"
    return Measured(median_ratio(pairs), details)


def two_towers(setting: Setting) -> Measured:
    """FLOP/s of a bare training step of two towers against one tower; without LRN."""
    single, double = network_227(setting), network_227(setting, *TOWERS)
    precision = choose_precision(single.training, single.model, setting.cache)
    one, two = BareStep(single, CLASSES), BareStep(double, CLASSES)
    scale = training_flops(two.network) / training_flops(one.network)
    pairs = in_turns(lambda: one.seconds(2), lambda: two.seconds(2), setting.seconds)
    speeds = [single.training.batch_size / seconds for seconds in medians(pairs)]
    ratio = median(first * scale / second for first, second in pairs)
    details = f"{speeds[1]:.0f} against {speeds[0]:.0f} images/s, FLOPs x {scale:.2f}, {batch_of(single, precision)}"
    return Measured(ratio, details)
