"""scripts/describe.py prints and writes any network without TensorFlow."""

import csv
import io
import math
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPO


def describe(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"""
import runpy, sys
sys.argv = ["describe.py", *{list(arguments)!r}]
try:
    runpy.run_path({str(REPO / "scripts" / "describe.py")!r}, run_name="__main__")
finally:
    assert "tensorflow" not in sys.modules
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_script_prints_and_writes(tmp_path: Path) -> None:
    done = describe("model=alexnet_fc8", "--classes", "2", "--output", str(tmp_path / "table.csv"))
    assert done.returncode == 0, done.stderr
    assert "62,380,346" in done.stdout
    assert done.stdout.isascii()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert sum(int(row["parameters"]) for row in rows) == 62_380_346
    conv2 = next(row for row in rows if row["layer"] == "conv2")
    assert [conv2[name] for name in ("output", "kernel", "stride", "groups")] == ["27x27x256", "5", "1", "1"]
    assert describe("--output", str(tmp_path / "net.svg")).returncode == 0
    assert xml.etree.ElementTree.parse(tmp_path / "net.svg").getroot().tag.endswith("svg")
    assert describe("--output", str(tmp_path / "net.png")).returncode == 0
    with Image.open(tmp_path / "net.png") as image:
        assert math.prod(image.size) > 1_000_000


def test_a_network_is_described_without_the_data_of_its_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALEXNET_EXP_DATA", str(tmp_path))
    done = describe("experiment=r4_finetune", "--classes", "2")
    assert done.returncode == 0, done.stderr
    assert "alexnet_2012, 2 classes" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=alexnt"], "Options: alexnet, "),
        (["model.conv.conv1.filters=0"], "model.conv.conv1.filters: expected"),
        (["--output", "net.pdf"], "Options: .csv, .md, .svg, .png. Received: net.pdf"),
    ],
)
def test_the_script_names_mistakes(arguments: list[str], words: str) -> None:
    done = describe(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
