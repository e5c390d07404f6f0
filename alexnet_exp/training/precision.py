"""Which floating-point type the networks compute in; weights, logits, loss and statistics are float32 in any case."""

import json
import logging
import platform
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock
from pydantic import PositiveFloat, TypeAdapter

from alexnet_exp.checksums import json_sha256
from alexnet_exp.config import to_dict
from alexnet_exp.config.schema import ModelConfig, TrainingConfig
from alexnet_exp.config.schema.training import Precision
from alexnet_exp.model import build_alexnet

log = logging.getLogger(__name__)
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
NATIVE_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
NATIVE_GPU = (8, 0)  # NVIDIA's compute capability
WORTHWHILE = 1.05  # times faster
ROUNDS, CLASSES = 3, 10


def choose_precision(training: TrainingConfig, model: ModelConfig, cache: Path) -> Precision:
    """Settles `auto` and makes Keras build networks with it from now on.

    `auto` is bfloat16 where the processor or the GPU multiplies it and a training step of this network at this batch
    size is faster with it, which is measured once and kept in `cache`.
    """
    precision: Precision
    if training.precision != "auto":
        precision = training.precision
    else:
        precision = _faster(model, training.batch_size, cache) if _multiplies_bfloat16() else "float32"
    keras.config.set_dtype_policy(POLICIES[precision])
    return precision


def _multiplies_bfloat16() -> bool:
    if gpus := tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        return details.get("compute_capability", (0, 0)) >= NATIVE_GPU
    try:
        return not NATIVE_CPU_FLAGS.isdisjoint(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False


def _faster(model: ModelConfig, batch_size: int, cache: Path) -> Precision:
    identity = [_processor(), tf.__version__, to_dict(model), batch_size]
    answers = cache / "precision" / f"{json_sha256(identity)[:32]}.json"
    seconds = None
    try:
        answers.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(answers.with_suffix(".lock")):
            if (seconds := _read(answers)) is None:
                seconds = _probe(model, batch_size)
                partial = answers.with_suffix(".partial")
                partial.write_text(json.dumps(seconds))
                partial.rename(answers)
    except OSError as error:
        log.warning("the times of both precisions are not kept: %s", error)
        seconds = seconds or _probe(model, batch_size)
    ratio = seconds["float32"] / seconds["bfloat16"]
    log.info("bfloat16 trains at %.2f times the speed of float32 with batches of %d", ratio, batch_size)
    return "bfloat16" if ratio >= WORTHWHILE else "float32"


def _read(answers: Path) -> dict[str, float] | None:
    """The seconds that were kept; None where there are none or they are damaged."""
    try:
        seconds = TypeAdapter(dict[str, PositiveFloat]).validate_json(answers.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return seconds if {"float32", "bfloat16"} <= seconds.keys() else None


def _probe(model: ModelConfig, batch_size: int) -> dict[str, float]:
    """Seconds of a training step: the best of a few, the two sides taking turns."""
    shape = (batch_size, model.input_size, model.input_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.eye(CLASSES, dtype=np.float32)[np.arange(batch_size) % CLASSES]
    networks: dict[str, keras.Model] = {}
    for precision in ("float32", "bfloat16"):
        keras.config.set_dtype_policy(POLICIES[precision])
        networks[precision] = build_alexnet(model, CLASSES)
        networks[precision].compile("sgd", "categorical_crossentropy")
        networks[precision].train_on_batch(images, labels)
    seconds = dict.fromkeys(networks, float("inf"))
    for _ in range(ROUNDS):
        for precision, network in networks.items():
            started = time.perf_counter()
            network.train_on_batch(images, labels)
            seconds[precision] = min(seconds[precision], time.perf_counter() - started)
    return seconds


def _processor() -> str:
    if gpus := tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name"))
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
