"""Splits that keep all images of one group, such as one patient, on one side."""

import hashlib
import logging
import re
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.data.files import ImageFile
from alexnet_exp.data.order import shuffled
from alexnet_exp.errors import DataError

log = logging.getLogger(__name__)


def groups_of(names: list[str], pattern: str) -> dict[str, str]:
    """Name -> group: what the one group of the regular expression finds in the image's path below the root.

    Raises:
      DataError: when a name has no such group. It does not become a group of its own: a pattern that misses some of the
        patients would split them unseen.
    """
    expression = re.compile(pattern)
    groups = {}
    for name in names:
        match = expression.search(name)
        if not match or not match[1]:
            raise DataError(
                f"dataset.group_pattern: expected {pattern} to find a group in the path of every image below the root. "
                f"Received: {name}"
            )
        groups[name] = match[1]
    return groups


def assign_parts(files: list[ImageFile], dataset: DatasetConfig) -> list[ImageFile]:
    """Puts every image in train, val or test, each group as a whole, in the order of `load_splits`.

    The parts that the data's folders name are kept. Groups may span classes, so they are assigned over all classes of
    the data: which classes an experiment chooses does not move an image. scikit-learn's `StratifiedGroupKFold` takes
    shares of one k-th alone, its `GroupShuffleSplit` does not stratify.

    Args:
      files: all images of the data, of all classes.
      dataset: its fractions, `split_seed`, `limit_per_class` and `group_pattern`, which is not None here.

    Returns:
      The images that are used, in the same order, with their parts.

    Raises:
      DataError: when a name does not match or a chosen class has too few groups.
    """
    groups = groups_of([file.name for file in files], str(dataset.group_pattern))
    parts: dict[str, list[ImageFile]] = {"train": [], "val": [], "test": []}
    for file in files:
        parts[file.part or "train"].append(file)
    for part, fraction in (("test", dataset.test_fraction), ("val", dataset.val_fraction)):
        if part == "val" and dataset.limit_per_class is not None:
            parts["train"] = _limited(parts["train"], dataset.limit_per_class, dataset.split_seed)
        if parts[part]:
            continue
        fixed = {groups[file.name] for other in parts if other != "train" for file in parts[other]}
        members: dict[str, list[ImageFile]] = defaultdict(list)
        for file in parts["train"]:
            members[groups[file.name]].append(file)
        key = f"{(dataset.split_seed, part)}"
        leave = 2 if part == "test" and not parts["val"] else 1  # one for each part that is still to be filled
        held = _hold_out(members, fixed, fraction, key, leave, dataset.classes)
        parts[part] = [file for group in held for file in members[group]]
        parts["train"] = [file for group in members if group not in held for file in members[group]]
    part_of = {file.name: part for part, some in parts.items() for file in some}
    return [replace(file, part=part_of[file.name]) for file in files if file.name in part_of]


def warn_of_shared_groups(pattern: str, parts: dict[str, list[str]]) -> None:
    """Logs the groups that the data's own folders put in more than one part. `parts`: part -> names of images."""
    found: dict[str, list[str]] = defaultdict(list)
    for part, names in parts.items():
        for group in set(groups_of(names, pattern).values()):
            found[group].append(part)
    if shared := sorted(group for group, where in found.items() if len(where) > 1):
        first = f"{shared[0]} in {' and '.join(found[shared[0]])}"
        log.warning("%d of %d groups are in more than one part, the first: %s", len(shared), len(found), first)


def _hold_out(
    members: dict[str, list[ImageFile]],
    fixed: set[str],
    fraction: float,
    key: str,
    leave: int,
    chosen: list[str] | None,
) -> set[str]:
    """The groups that make up about `fraction` of the images of each class.

    Groups come in an order that the key decides; each is held out if that brings the classes closer to their share, by
    squared differences. Of a class that is not met by this the group that harms the least is held out.

    Args:
      members: group -> its images.
      fixed: groups that stay, since another part has images of them.
      fraction: of each class to hold out.
      key: seeds the order.
      leave: groups of each class that stay at least.
      chosen: the classes that must be held out of; None for all.
    """
    counts = {group: Counter(file.class_name for file in files) for group, files in members.items()}
    total = sum(counts.values(), Counter[str]())
    left = Counter(name for count in counts.values() for name in count)
    share: dict[str, float] = dict.fromkeys(total, -fraction)  # what is held out of each class, less what should be
    held: set[str] = set()

    def change(group: str) -> list[float]:
        parts = ((share[name], count / total[name]) for name, count in counts[group].items())
        return [(now + more) ** 2 - now**2 for now, more in parts]

    def cost(group: str) -> float:
        return sum(change(group))

    def is_spare(group: str) -> bool:
        return all(left[name] > leave for name in counts[group])

    def hold(group: str) -> None:
        held.add(group)
        left.subtract(counts[group].keys())
        for name, count in counts[group].items():
            share[name] += count / total[name]

    order = sorted(counts.keys() - fixed, key=lambda group: hashlib.sha256(f"{key} {group}".encode()).digest())
    for combine in (max, sum):  # first what brings each of its classes closer, then what does so on the whole
        for group in order:
            if group not in held and combine(change(group)) < 0 and is_spare(group):
                hold(group)
    for name in sorted(total):
        if any(name in counts[group] for group in held):
            continue
        spare = [group for group in order if name in counts[group] and is_spare(group)]
        if spare:
            hold(min(spare, key=cost))
        elif chosen is None or name in chosen:
            raise DataError(
                f"class {name}: expected at least 3 groups of dataset.group_pattern, one each to train, validate and "
                f"test on. Received: {left[name]} left to cut a part from"
            )
    return held


def _limited(files: list[ImageFile], count: int, seed: int) -> list[ImageFile]:
    """At most `count` images of each class; a larger count keeps the images of a smaller one."""
    of_class: dict[str, list[ImageFile]] = defaultdict(list)
    for file in files:
        of_class[file.class_name].append(file)
    kept = []
    for name, some in of_class.items():
        order = shuffled(np.arange(len(some)), name, (seed, "limit"))
        kept += [some[index] for index in order[:count]]
    return kept
