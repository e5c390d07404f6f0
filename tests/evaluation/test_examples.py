"""Images beside the examples of a report."""

from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.evaluation.examples import thumbnails


def test_an_image_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    names = [f"{name}/{number}.png" for name in "ab" for number in range(3)]
    for level, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(tmp_path / name)
    (tmp_path / names[1]).write_bytes(b"no image")
    dataset = compose_config(["dataset=image_folder", f"dataset.root={tmp_path}"]).dataset
    found = thumbnails(dataset, names, 4)
    assert list(found) == [names[0], *names[2:]]
    assert [image.shape for image in found.values()] == [(4, 4, 3)] * 5
