"""Files are classified as the run did it, whatever its strategy; bad ones are named, nothing is half written."""

import io
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from PIL import Image

from alexnet_exp.config.compose import compose_config
from alexnet_exp.prediction import CAPTION
from alexnet_exp.run import run
from tests.conftest import REPO, TINY

STRATEGIES = {
    "scratch": [],
    "finetune": ["strategy.stages=[{layers: [head], epochs: 1, learning_rate: 0.1}]"],
    "features_svm": ["strategy.c=[1]"],
    "features_mlp": ["strategy.epochs=2", "strategy.units=8", "evaluation.views=mirror"],
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two class folders of twelve photos each, larger than the network's input and not square."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data") / "photos"
    for channel, name in ((0, "red, or $red$"), (2, "blå")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 80, (90, 140, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(root / name / f"{number:02d}.jpg")
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, photos: Path) -> Iterator[dict[str, str]]:
    """By strategy the id of a run on the photos."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(empty_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        ids: dict[str, str] = {}
        for strategy, words in STRATEGIES.items():
            weights = ["weights=run", f"weights.run_id={ids['scratch']}"] if ids else []
            data = ["dataset=image_folder", f"dataset.root={photos}"]
            ids[strategy] = run(compose_config([*TINY, *data, f"strategy={strategy}", *weights, *words]), []).run_id
        yield ids


def predict(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int | str | None:
    """Runs the script, and returns its exit code or message."""
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(REPO / "scripts" / "predict.py"), run_name="__main__")
    return stopped.value.code


def stored_predictions(run_id: str) -> pd.DataFrame:
    return pd.read_parquet(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="predictions/test.parquet"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_files_are_classified_as_the_run_classified_them(
    runs: dict[str, str], photos: Path, strategy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stored = stored_predictions(runs[strategy])
    files = [photos / name for name in stored["id"]]
    assert predict(monkeypatch, runs[strategy], *files, "--csv", tmp_path / "p.csv") == 0
    table = pd.read_csv(tmp_path / "p.csv")
    assert table["path"].tolist() == list(map(str, files))
    assert list(table.columns) == ["path", "prediction", "blå", "red, or $red$"]
    probabilities = np.array(stored["probabilities"].tolist(), np.float32)
    np.testing.assert_array_equal(table.iloc[:, 2:].to_numpy(np.float32), probabilities)
    assert table["prediction"].tolist() == table.columns[2:][stored["prediction"]].tolist()


def test_folders_lists_and_bad_files(
    runs: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    first, last = sorted(photos.rglob("*.jpg"))[::23]
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "bad.jpg").write_bytes(first.read_bytes()[:300])
    (tmp_path / "in" / "good.jpg").write_bytes(first.read_bytes())
    (tmp_path / "in" / "notes.txt").write_text("no image")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{last}\n\nmissing.jpg\n".encode())))
    code = predict(monkeypatch, runs["scratch"], tmp_path / "in", "-", "--top", 2, "--grid", tmp_path / "grid.png")
    assert code == 1
    shown = capsys.readouterr()
    lines = [text.split("  ") for text in shown.out.splitlines()]
    assert [words[0] for words in lines] == [str(tmp_path / "in" / "good.jpg"), str(last)]
    assert all({word.rpartition(" ")[0] for word in words[1:]} == {"blå", "red, or $red$"} for words in lines)
    assert shown.err.splitlines() == [
        f"{tmp_path / 'in' / 'deep' / 'bad.jpg'}: unreadable (Truncated File Read)",
        "missing.jpg: unreadable (No such file or directory)",
        f"2 images classified, 2 files unreadable, written: {tmp_path / 'grid.png'}",
    ]
    assert imread(tmp_path / "grid.png").shape[1] == 880


def test_what_speaks_for_a_class_is_drawn(
    runs: dict[str, str], photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert predict(monkeypatch, runs["features_mlp"], photos, "--gradcam", tmp_path / "cam") == 0
    files = sorted((tmp_path / "cam").iterdir())
    assert [file.name for file in files[::23]] == ["00001_00.jpg.png", "00024_11.jpg.png"]
    caption, pictures = np.vsplit(imread(files[0])[..., :3], [CAPTION])
    assert (caption[:, :100] < 0.5).any()  # the class and its probability
    assert (caption[:, -100:] == 1).all()
    image, covered = np.hsplit(pictures, 2)
    assert image.shape == (224, 224, 3)
    assert not np.array_equal(image, covered)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0123456789abcdef0123456789abcdef", "x.jpg"], "expected the id of a run in sqlite:////"),
        (["models:/nobody@champion", "x.jpg"], "expected a registered model in sqlite:////"),
        (["models:/nobody", "x.jpg"], "expected a run id, models:/<name>@<alias> or models:/<name>/<version>. Receive"),
        (["{scratch}", "x.jpg", "--csv", "nowhere/x.csv"], "--csv: expected a place in a folder that exists. Received"),
        (["{scratch}", "x.jpg", "--grid", "x.txt"], "--grid: expected a .png file. Received: x.txt"),
        (
            ["{features_svm}", "x.jpg", "--gradcam", "g"],
            "--gradcam: expected a run whose classifier is a network. Receiv",
        ),
        (["{scratch}", "x.jpg", "--top", "0"], "--top: expected at least 1. Received: 0"),
        (["{scratch}", "x.jpg", "--csv", "x.csv"], "expected images. Received: 1 unreadable files"),
    ],
)
def test_a_mistake_is_one_line(
    runs: dict[str, str], words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code = str(predict(monkeypatch, *(word.format(**runs) for word in words)))
    assert code.startswith(f"error: {message}")
    assert "\n" not in code
    assert not list(tmp_path.iterdir())
