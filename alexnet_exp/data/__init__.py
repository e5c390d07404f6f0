"""From a dataset's configuration to seeded splits of uint8 images."""

from alexnet_exp.data.splits import ImageSet, Splits, load_splits

__all__ = ["ImageSet", "Splits", "load_splits"]
