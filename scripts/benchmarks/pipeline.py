"""The input pipeline alone: how fast it is against the training step that it feeds, and how much memory it takes."""

import resource
import shutil
import threading
import time
from pathlib import Path

import numpy as np

from alexnet_exp.config import RunConfig
from alexnet_exp.data import ImageSet, Splits, load_splits
from alexnet_exp.training.precision import choose_precision
from benchmarks.inputs import composed, generated_splits, image_set, network_227, photo_folder, photos
from benchmarks.rows import Measured, Setting
from benchmarks.steps import BareStep, batch_of, feed_of
from benchmarks.timing import in_turns, median_ratio, medians, seconds_of

CLASSES = 10
WARM_UP = 4  # batches: what the pipeline holds ready
GIGABYTE = 10**9
LIMIT_GB = 4


def cifar(setting: Setting) -> Measured:
    """32-pixel images in memory, batches of 100."""
    model = ("model=alexnet_cifar", "augmentation=rotate_flip_zoom", "optimizer=adam", "schedule=constant")
    config = composed(setting.folder, *model, "training.batch_size=100")
    return _against_step(setting, config, generated_splits(5000, 100, 100, 32, CLASSES), batches=40, steps=10)


def photos_227(setting: Setting) -> Measured:
    """Random 227-pixel crops of 256-pixel photos in a memory map."""
    config = network_227(setting, "augmentation=krizhevsky2012")
    held_out = image_set(*photos(8, 256, CLASSES))
    train = _mapped(setting.folder / "photos.npy", 512 if setting.quick else 1280, 256)
    splits = Splits(train, held_out, held_out, [str(number) for number in range(CLASSES)])
    return _against_step(setting, config, splits, batches=8, steps=2)


def _against_step(setting: Setting, config: RunConfig, splits: Splits, batches: int, steps: int) -> Measured:
    precision = choose_precision(config.training, config.model, setting.cache)
    bare = BareStep(config, CLASSES)
    feed = feed_of(config, splits, range(1000))

    def pipeline() -> float:
        iterator = iter(feed.train)
        for _ in range(WARM_UP):
            next(iterator)
        return seconds_of(lambda: [next(iterator) for _ in range(batches)]) / batches

    pairs = in_turns(lambda: bare.seconds(steps), pipeline, setting.seconds)
    speeds = [config.training.batch_size / seconds for seconds in medians(pairs)]
    details = f"{speeds[1]:.0f} against {speeds[0]:.0f} images/s, {batch_of(config, precision)}"
    return Measured(median_ratio(pairs), details)


def _mapped(path: Path, number: int, size: int) -> ImageSet:
    pixels, labels = photos(number, size, CLASSES)
    np.save(path, pixels)
    mapped = image_set(pixels, labels)
    return ImageSet(np.load(path, mmap_mode="r"), mapped.rows, mapped.labels, mapped.ids, mapped.digests)


def streaming(setting: Setting) -> Measured:
    """Peak of anonymous memory while many photos are decoded and read once, in a process limited to 4 GB."""
    number = 500 if setting.quick else 20_000
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_GB * GIGABYTE, LIMIT_GB * GIGABYTE))
    folder = setting.folder / "streaming"
    files = photo_folder(folder / "photos", number, 256)
    parts = ("dataset.val_fraction=0.01", "dataset.test_fraction=0.01", "augmentation=krizhevsky2012")
    config = composed(folder, "model=alexnet", "dataset=image_folder", f"dataset.root='{files}'", *parts)
    with AnonymousMemory() as memory:
        started = time.perf_counter()
        splits = load_splits(config.dataset, 256, Path(config.paths.cache))
        decoded = time.perf_counter()
        batches = sum(1 for _ in feed_of(config, splits, range(1)).train)
        read = time.perf_counter()
    if batches != -(-len(splits.train) // config.training.batch_size):
        raise AssertionError(f"{batches} batches of {len(splits.train)} images")
    shutil.rmtree(folder)
    speeds = number / (decoded - started), len(splits.train) / (read - decoded)
    details = f"{number} photos of 256 pixels, {speeds[0]:.0f} images/s decoded, {speeds[1]:.0f} images/s read"
    return Measured(memory.peak / GIGABYTE, details)


class AnonymousMemory:
    """The peak of this process' anonymous resident memory in bytes, sampled (Linux)."""

    def __enter__(self) -> "AnonymousMemory":
        self.peak = resident("RssAnon")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.02):
            self.peak = max(self.peak, resident("RssAnon"))


def resident(field: str) -> int:
    """`VmRSS` or `RssAnon` of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
