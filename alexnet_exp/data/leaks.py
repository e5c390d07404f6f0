"""Images that are in more than one part of a dataset: pixel by pixel, or nearly."""

import numpy as np
from PIL import Image

SIDE = 32  # pixels of the small grey image that a hash is computed from
LOW = 8  # lowest frequencies kept in each direction
CHUNK = 1024  # images at a time
DISTANCE_ROWS = 128  # rows of the matrix of distances at a time


def same_images(digests: list[str], others: list[str]) -> dict[int, int]:
    """Index in `digests` -> index in `others` of an image with the same digest."""
    index = {digest: number for number, digest in enumerate(others)}
    return {number: index[digest] for number, digest in enumerate(digests) if digest in index}


def similar_images(hashes: np.ndarray, others: np.ndarray, bits: int) -> dict[int, int]:
    """Index in `hashes` -> index in `others` of the nearest image, where at most `bits` bits differ.

    Args:
      hashes: uint64 `[N]` of `perceptual_hashes`.
      others: uint64 `[M]`.
      bits: largest Hamming distance.
    """
    found = {}
    for start in range(0, len(hashes), DISTANCE_ROWS):
        distances = np.bitwise_count(hashes[start : start + DISTANCE_ROWS, None] ^ others)
        nearest = distances.argmin(axis=1)
        for row in np.flatnonzero(distances[np.arange(len(nearest)), nearest] <= bits):
            found[start + int(row)] = int(nearest[row])
    return found


def perceptual_hashes(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """pHash: which of the 64 lowest frequencies of a small grey image are above their median.

    Scaling, recompression and a change of brightness or contrast change few of the bits; images without any structure
    have the same hash, whatever their colour. Source: C. Zauner, Implementation and Benchmarking of Perceptual Image
    Hash Functions, 2010.

    Args:
      images: uint8 `[M, H, W, 3]`; a memory map is read in pieces.
      rows: int64 `[N]`, the images to hash.

    Returns:
      uint64 `[N]`.
    """
    basis = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(LOW)[:, None]).astype(np.float32)  # DCT-II
    hashes = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), CHUNK):
        grey = np.stack([_small_grey(images[row]) for row in rows[start : start + CHUNK]])
        frequencies = (basis @ grey @ basis.T).reshape(len(grey), -1).round()  # flat: no noise to hash
        bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
        hashes.append(np.packbits(bits, axis=1).view(np.uint64).ravel())
    return np.concatenate(hashes)


def _small_grey(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32)
