"""The order in which images of a class are chosen."""

import hashlib

import numpy as np


def shuffled(members: np.ndarray, class_name: str, key: tuple[int, str]) -> np.ndarray:
    """In an order that the other classes do not change, so that a part of the classes has the same test images."""
    seed = int.from_bytes(hashlib.sha256(f"{key} {class_name}".encode()).digest()[:8])
    return np.random.default_rng(seed).permutation(members)
