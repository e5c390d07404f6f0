"""Generated images and composed configurations."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config
from alexnet_exp.data import ImageSet, Splits
from benchmarks.rows import Setting

CLASSES = 1000  # as many as the published network tells apart
FILES_IN_PIECE = 500


def composed(folder: Path, *overrides: str) -> RunConfig:
    """A configuration that keeps everything in `folder`."""
    places = (f"paths.cache='{folder / 'cache'}'", f"tracking.uri='sqlite:///{folder / 'mlflow.db'}'")
    return compose_config([*places, "run.if_exists=rerun", *overrides])


def network_227(setting: Setting, *overrides: str) -> RunConfig:
    """The single tower with 62 million parameters, SGD with momentum, batches of 128."""
    batch = f"training.batch_size={8 if setting.quick else 128}"
    rate = "optimizer.learning_rate=1e-5"  # the images are noise: the loss has to stay finite
    return composed(setting.folder, "model=alexnet", "optimizer=sgd", rate, "schedule=constant", batch, *overrides)


def photos(number: int, size: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise on a colour of each class: uint8 `[number, size, size, 3]`, and int32 labels `[number]`."""
    rng = np.random.default_rng(seed)
    colors = np.random.default_rng(99).integers(0, 128, (classes, 3), np.uint8)
    labels = (np.arange(number) % classes).astype(np.int32)
    pixels = rng.integers(0, 128, (number, size, size, 3), np.uint8)
    return pixels + colors[labels][:, None, None], labels


def image_set(pixels: np.ndarray, labels: np.ndarray) -> ImageSet:
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    return ImageSet(pixels, np.arange(len(pixels)), labels, [str(number) for number in range(len(pixels))], digests)


def generated_splits(train: int, val: int, test: int, size: int, classes: int) -> Splits:
    """So many generated images in each part."""
    parts = (image_set(*photos(number, size, classes, seed)) for seed, number in enumerate((train, val, test)))
    return Splits(next(parts), next(parts), next(parts), [f"class{number}" for number in range(classes)])


def photo_folder(folder: Path, number: int, size: int) -> Path:
    """Writes JPEG files in two class folders."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)

    def write_piece(start: int) -> None:
        pixels, labels = photos(min(FILES_IN_PIECE, number - start), size // 4, 2, seed=start)
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True), start):
            blurred = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
            blurred.save(folder / "ab"[label] / f"{index:05d}.jpg", quality=90)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write_piece, range(0, number, FILES_IN_PIECE)))
    return folder
