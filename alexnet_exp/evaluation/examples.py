"""Test examples over several runs: confusion of the classes, and what every arm misses."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from alexnet_exp.config.schema import DatasetConfig
from alexnet_exp.data.decode import BadImage, decode, pixel_limit
from alexnet_exp.data.digits import digits_images
from alexnet_exp.data.files import read_images
from alexnet_exp.errors import DataError


def summed_confusion(predictions: Iterable[pd.DataFrame], classes: int) -> np.ndarray:
    """Counts `[classes, classes]` over runs, true classes in rows."""
    tables = [confusion_matrix(table["label"], table["prediction"], labels=range(classes)) for table in predictions]
    return np.sum(tables, axis=0)


def missed_by_all(predictions: Mapping[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """The examples that every run of every arm gets wrong, the least probable true class first.

    Args:
      predictions: by arm the tables of its runs, as `Report.predictions`.

    Returns:
      `id`, `label`, `prediction` (the most frequent one), and `probability` of the true class, the mean over the runs.
      Examples that are not in the test set of every arm, or not always with the same label, are left out.
    """
    parts = []
    for arm, tables in predictions.items():
        for table in tables:
            probabilities = np.array(table["probabilities"].tolist())
            of_truth = probabilities[np.arange(len(table)), table["label"]]
            parts.append(table[["id", "label", "prediction"]].assign(arm=arm, probability=of_truth))
    everything = pd.concat(parts, ignore_index=True)
    everything["wrong"] = everything["label"] != everything["prediction"]
    groups = everything.groupby("id")
    always = groups["wrong"].all() & (groups["arm"].nunique() == len(predictions)) & (groups["label"].nunique() == 1)
    missed = everything[everything["id"].isin(always.index[always])].groupby("id")
    table = missed.agg({"label": "first", "prediction": _most_frequent, "probability": "mean"})
    return table.sort_values("probability", kind="stable").reset_index()


def _most_frequent(some: pd.Series) -> int:
    return int(some.mode().iloc[0])


def thumbnails(dataset: DatasetConfig, ids: list[str], size: int) -> dict[str, np.ndarray]:
    """The images with these ids, uint8 `[size, size, 3]`; those that cannot be read are left out."""
    if dataset.source == "digits":
        store, names, _, _ = digits_images(size, dataset.resize)
        return {name: image for name, image in zip(names, store, strict=True) if name in ids}
    root = Path(str(dataset.root))
    images = {}
    with suppress(DataError), pixel_limit(dataset.limits.megapixels):
        for name, content in read_images(root, ids, dataset.limits) if root.exists() else ():
            if isinstance(content, bytes):
                with suppress(BadImage):
                    images[name] = decode(content, size, dataset.resize)
    return images
