import os
import shutil
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from PIL import Image

from alexnet_exp.config import RunConfig
from alexnet_exp.config.compose import compose_config

REPO = Path(__file__).parents[1]
Compose = Callable[..., RunConfig]

TINY = (  # the small network made smaller: one epoch takes a second
    "model.conv.conv1.filters=8",
    "model.conv.conv2.filters=8",
    "model.conv.conv3.filters=8",
    "model.conv.conv4.filters=8",
    "model.conv.conv5.filters=8",
    "model.dense.fc6=16",
    "model.dense.fc7=16",
    "training.epochs=1",
    "training.precision=float32",
    "tracking.figures=false",
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests recorded as `figures`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an MLflow store without runs: creating one takes seconds, copying it none."""
    from alexnet_exp.tracking.store import open_store

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_store(f"sqlite:///{file}", "Default")
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh MLflow store; what the test writes to the working folder goes to its own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    return uri


@pytest.fixture
def tiny(tmp_path: Path) -> Compose:
    """Composes an experiment with a tiny network on a part of the digits."""
    settings = [*TINY, "dataset.limit_per_class=20", f"paths.cache={tmp_path / 'cache'}"]
    return lambda *overrides: compose_config([*settings, *overrides])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real archives."""
    folder = Path(os.environ.get("ALEXNET_EXP_DATA", REPO.parent / "shared" / "data")).resolve()
    if not (folder / "cifar10.zip").exists():
        pytest.skip(f"no real data: {folder} holds no cifar10.zip (set ALEXNET_EXP_DATA)")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two class folders of twelve images each: red and blue noise of 40x50 pixels."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for channel, name in ((0, "red"), (2, "blue")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 80, (40, 50, 3), dtype=np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(root / name / f"{number:02d}.png")
    return root
