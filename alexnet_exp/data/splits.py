"""Stratified, seeded train, val and test parts of a dataset."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.data.cache import decoded_images
from alexnet_exp.data.digits import digits_images
from alexnet_exp.data.files import list_images
from alexnet_exp.data.groups import assign_parts, warn_of_shared_groups
from alexnet_exp.data.leaks import perceptual_hashes, same_images, similar_images
from alexnet_exp.data.order import shuffled
from alexnet_exp.errors import DataError

log = logging.getLogger(__name__)
LEAKS_NAMED = 3


@dataclass(frozen=True)
class ImageSet:
    """Some rows of a store of images, with their labels.

    Attributes:
      store: uint8 `[M, H, W, 3]`, an array or a memory map, shared by the parts of a dataset.
      rows: int64 `[N]`, the rows of `store` that belong to this set.
      labels: int32 `[N]`, indices into the class names.
      ids: `N` names, unique within the dataset.
      digests: `N` SHA-256 digests of the pixels.
    """

    store: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    ids: list[str]
    digests: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def content_sha256(self) -> str:
        """Of the pixels of all images, in order."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    def take(self, index: np.ndarray | slice) -> np.ndarray:
        """The pixels of some images of the set, uint8 `[B, H, W, 3]`."""
        return self.store[self.rows[index]]

    def take_crops(self, index: np.ndarray, top: np.ndarray, left: np.ndarray, size: int) -> np.ndarray:
        """Squares cut out of some images, uint8 `[B, size, size, 3]`, each at its own corner."""
        windows = np.lib.stride_tricks.sliding_window_view(self.store, (size, size, 3), axis=(1, 2, 3))
        return windows[self.rows[index], top, left, 0]

    def subset(self, index: np.ndarray) -> "ImageSet":
        """The images at `index`, int64 `[K]`."""
        return ImageSet(
            self.store,
            self.rows[index],
            self.labels[index],
            [self.ids[i] for i in index],
            [self.digests[i] for i in index],
        )


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset. Models are selected on `val`; `test` is read once, at the end."""

    train: ImageSet
    val: ImageSet
    test: ImageSet
    class_names: list[str]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, labels and class names of the parts: one changed pixel or label changes it."""
        digest = hashlib.sha256("\n".join(self.class_names).encode())
        for part in (self.train, self.val, self.test):
            digest.update("".join(part.digests).encode())
            digest.update(part.labels.tobytes())
        return digest.hexdigest()

    @cached_property
    def test_sha256(self) -> str:
        """SHA-256 over names and classes of the test images: the same at another size in pixels."""
        images = [
            f"{self.class_names[label]} {name}" for label, name in zip(self.test.labels, self.test.ids, strict=True)
        ]
        return hashlib.sha256("\n".join([*self.class_names, *sorted(images)]).encode()).hexdigest()


def load_splits(dataset: DatasetConfig, size: int, cache: Path) -> Splits:
    """Loads a dataset's images at `size` x `size` pixels and splits them.

    The parts that the data's folders name are kept. A missing test part is cut from the training images, then
    `limit_per_class` applies, then a missing val part is cut from what is left. With `group_pattern` all images of a
    group are in the same part.

    Raises:
      DataError: when images cannot be read, a class has too few of them, or parts share images where that is an error.
    """
    everything, class_names, parts = _load(dataset, size, cache)
    train = np.flatnonzero(parts == "train")
    val = np.flatnonzero(parts == "val")
    test = np.flatnonzero(parts == "test")
    labels = everything.labels
    whole_groups = dataset.group_pattern is not None  # then the parts are decided already
    if not len(test) and not whole_groups:
        train, test = _hold_out(train, everything, class_names, dataset.test_fraction, (dataset.split_seed, "test"))
    if dataset.limit_per_class is not None and not whole_groups:
        train = _limit(train, everything, class_names, dataset.limit_per_class, (dataset.split_seed, "limit"))
    if not len(val) and not whole_groups:
        train, val = _hold_out(train, everything, class_names, dataset.val_fraction, (dataset.split_seed, "val"))
    for name, part in (("train", train), ("val", val), ("test", test)):
        if missing := [class_names[label] for label in sorted(set(labels) - set(labels[part]))]:
            raise DataError(f"dataset {dataset.name}: expected every class in {name}. Received: none of {missing[0]}")
    splits = Splits(everything.subset(train), everything.subset(val), everything.subset(test), class_names)
    if leaks := _leaks(splits, dataset.near_duplicates):
        if dataset.on_leak == "error":
            raise DataError(
                f"dataset {dataset.name}: expected parts without a common image (dataset.on_leak=warn goes on all the "
                f"same). Received: {'; '.join(leaks)}"
            )
        log.warning("parts with common images: %s", "; ".join(leaks))
    if dataset.group_pattern is not None:
        ids = {"train": splits.train.ids, "val": splits.val.ids, "test": splits.test.ids}
        warn_of_shared_groups(dataset.group_pattern, ids)
    return splits


def _leaks(splits: Splits, near_duplicates: int | None) -> list[str]:
    """For each two parts how many images they share, and the first of them."""
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    hashes = {}
    if near_duplicates is not None:
        hashes = {name: perceptual_hashes(part.store, part.rows) for name, part in parts.items()}
    leaks = []
    for other, name in combinations(parts, 2):
        shared = {"the same as": same_images(parts[name].digests, parts[other].digests)}
        if near_duplicates is not None:
            similar = similar_images(hashes[name], hashes[other], near_duplicates)
            shared["nearly the same as"] = {i: j for i, j in similar.items() if i not in shared["the same as"]}
        for how, pairs in shared.items():
            if pairs:
                first = [f"{parts[name].ids[i]} = {parts[other].ids[j]}" for i, j in islice(pairs.items(), LEAKS_NAMED)]
                names = ", ".join(first + ["..."] * (len(pairs) > LEAKS_NAMED))
                leaks.append(f"{len(pairs)} of {len(parts[name])} {name} images {how} one in {other} ({names})")
    return leaks


def _load(dataset: DatasetConfig, size: int, cache: Path) -> tuple[ImageSet, list[str], np.ndarray]:
    """All images, the class names, and for each image the name of its part (`train` where the data names none)."""
    if dataset.source == "digits":
        store, names, classes, parts = digits_images(size, dataset.resize)
        digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in store]
        rows: Sequence[int] = range(len(store))
    else:
        root = Path(str(dataset.root))
        files = list_images(root, dataset.limits)
        if dataset.group_pattern is not None:
            files = assign_parts(files, dataset)
        if dataset.classes is not None:
            _chosen_classes(dataset, [file.class_name for file in files])
            files = [file for file in files if file.class_name in dataset.classes]
        decoded = decoded_images(root, [file.name for file in files], size, dataset, cache)
        whole = {file.class_name for file in files}
        files = [file for file in files if file.name in decoded.rows]
        if lost := sorted(whole - {file.class_name for file in files}):
            raise DataError(f"{root}: expected a readable image in every class. Received: none in {', '.join(lost)}")
        store, names = decoded.pixels, [file.name for file in files]
        classes, parts = [file.class_name for file in files], [file.part or "train" for file in files]
        rows, digests = [decoded.rows[name] for name in names], [decoded.digests[name] for name in names]
    class_names = _chosen_classes(dataset, classes)
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = np.array([label_of.get(name, -1) for name in classes], np.int32)
    everything = ImageSet(store, np.asarray(rows, np.int64), labels, names, digests)
    chosen = np.flatnonzero(labels >= 0)
    return everything.subset(chosen), class_names, np.array(parts)[chosen]


def _chosen_classes(dataset: DatasetConfig, classes: list[str]) -> list[str]:
    available = sorted(set(classes))
    if dataset.classes is None:
        return available
    unknown = [name for name in dataset.classes if name not in available]
    if unknown or len(set(dataset.classes)) < len(dataset.classes):
        raise DataError(
            f"dataset.classes: expected different classes of the data. Options: {', '.join(available)}. "
            f"Received: {', '.join(dataset.classes)}"
        )
    return list(dataset.classes)


def _hold_out(
    index: np.ndarray, everything: ImageSet, class_names: list[str], fraction: float, key: tuple[int, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Splits `index` into what stays and what is held out: `fraction` of each class, but at least one image."""
    stays, held = [], []
    for label, name in enumerate(class_names):
        members = shuffled(index[everything.labels[index] == label], name, key)
        if len(members) < 2:
            raise DataError(
                f"class {name}: expected at least 3 images, one each to train, validate and test on. "
                f"Received: {len(members)} left to cut a {key[1]} part from"
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held.append(members[:count])
        stays.append(members[count:])
    return np.sort(np.concatenate(stays)), np.sort(np.concatenate(held))


def _limit(
    index: np.ndarray, everything: ImageSet, class_names: list[str], count: int, key: tuple[int, str]
) -> np.ndarray:
    """At most `count` images of each class; a larger count keeps the images of a smaller one."""
    of_class = (index[everything.labels[index] == label] for label in range(len(class_names)))
    members = (shuffled(some, name, key) for name, some in zip(class_names, of_class, strict=True))
    return np.sort(np.concatenate([some[:count] for some in members]))
