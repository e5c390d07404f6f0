"""The safetensors file: strict in both directions, all of it or nothing."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import save_file

from alexnet_exp.config.schema import Lrn, Preprocess
from alexnet_exp.errors import WeightsError
from alexnet_exp.model.weight_files import KEY, WeightsMetadata, read_metadata, read_safetensors, write_weights
from alexnet_exp.model.weights import read_weights

METADATA = WeightsMetadata(
    network="alexnet_2012",
    layers=["conv1", "fc6"],
    kernel_layout="HWIO",
    groups={"conv1": 2},
    preprocess=Preprocess(channels="bgr", scale=1.0, mean=[104.0, 117.0, 123.0], std=[1.0, 1.0, 1.0]),
    lrn=Lrn(size=5, alpha=2e-5, beta=0.75, k=1.0),
    order="lrn_pool",
    source="a test",
    licence="MIT",
    original_sha256="0" * 64,
)
VALUES = {
    "conv1/kernel": np.arange(72, dtype=np.float32).reshape(3, 3, 2, 4),
    "conv1/bias": np.ones(4, np.float32),
    "fc6/kernel": np.ones((5, 3), np.float32),
    "fc6/bias": np.ones(3, np.float32),
}
MATRIX = np.ones((3, 4), np.float32)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, VALUES, METADATA)
    values, metadata = read_safetensors(path)
    assert metadata == METADATA == read_metadata(path)
    assert values.keys() == VALUES.keys()
    for name, value in VALUES.items():
        np.testing.assert_array_equal(values[name], value)
    content = path.read_bytes()
    write_weights(path, dict(reversed(VALUES.items())), METADATA)
    assert path.read_bytes() == content  # the same weights have the same checksum
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1/bias": np.full(4, np.nan, np.float32)}, "conv1/bias: expected finite values. Received: 4 NaN"),
        ({"fc6/bias": np.full(3, np.inf, np.float32)}, "fc6/bias: expected finite values. Received: 3 infinite"),
        ({"conv1/bias": np.ones(4)}, "conv1/bias: expected float32. Received: float64"),
        ({"conv1/bias": np.ones(5, np.float32)}, "conv1/bias: expected shape (4,). Received: (5,)"),
        ({"conv1/kernel": MATRIX}, "conv1/kernel: expected 4 dimensions. Received: shape (3, 4)"),
        ({"fc7/kernel": MATRIX}, "expected the layers conv1, fc6. Received: "),
        ({"conv1/gamma": np.ones(4, np.float32)}, "Received: conv1/gamma"),
    ],
)
def test_values_that_the_metadata_do_not_describe_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], words: str
) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(WeightsError) as error:
        write_weights(path, VALUES | change, METADATA)
    assert f"{path}: " in str(error.value)
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []
    text = TypeAdapter(WeightsMetadata).dump_json(METADATA).decode()
    save_file(VALUES | change, path, metadata={KEY: text})
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert words in str(error.value)


def test_groups_and_order_are_checked(tmp_path: Path) -> None:
    for metadata, words in (
        (replace(METADATA, groups={"conv1": 3}), "conv1: expected groups that divide 4 filters. Received: 3"),
        (replace(METADATA, groups={}), "Received: none"),
        (replace(METADATA, order="none"), "expected order none without lrn alone"),
    ):
        with pytest.raises(WeightsError, match=words):
            write_weights(tmp_path / "w.safetensors", VALUES, metadata)


def test_files_that_are_damaged_or_not_of_this_project_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, VALUES, METADATA)
    content = path.read_bytes()
    for size in (0, 4, 60, len(content) - 1):
        path.write_bytes(content[:size])
        refuse(path)
    path.write_bytes(b"PK\x03\x04 not safetensors at all")
    refuse(path)
    save_file(VALUES, path)
    refuse(path, "no metadata")
    save_file(VALUES, path, metadata={KEY: '{"network": "alexnet", "layers": []}'})
    refuse(path, "layers: ", "licence: ")
    text = TypeAdapter(WeightsMetadata).dump_json(METADATA).decode()
    save_file(VALUES, path, metadata={KEY: re.sub(r'"mean":\[[^,]*', '"mean":[NaN', text)})
    refuse(path, "preprocess.mean.0: ", "finite number")
    save_file(VALUES, path, metadata={KEY: "not json"})
    refuse(path)
    refuse(tmp_path / "none.safetensors", "no such file")
    refuse(tmp_path, "a folder")


@pytest.mark.parametrize(
    "config", ["[" * 100_000, "5", '{"class_name": "TorchModuleWrapper", "module": "keras.layers"}']
)
def test_a_keras_file_that_makes_no_sense_is_refused(tmp_path: Path, config: str) -> None:
    path = tmp_path / "w.keras"
    path.write_bytes(b"not a network")
    refuse(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0", "date_saved": "today"}')
        archive.writestr("config.json", config)
    refuse(path)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected a file that can be written"):
        write_weights(tmp_path / "missing" / "w.safetensors", VALUES, METADATA)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(WeightsError, match=r"expected a file that can be written"):
        write_weights(tmp_path / "folder.safetensors", VALUES, METADATA)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.safetensors"]


def refuse(path: Path, *words: str) -> None:
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    message = str(error.value)
    assert "\n" not in message
    for word in (str(path), "expected", "Received: ", *words):
        assert word in message
