"""The only package that imports MLflow."""

from alexnet_exp.tracking.store import download_weights, open_store
from alexnet_exp.tracking.tracker import Tracker, tracked_run

__all__ = ["Tracker", "download_weights", "open_store", "tracked_run"]
