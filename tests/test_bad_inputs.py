"""Bad configurations, images, archives, weights, caches and checkpoints: clear errors or skips, and nothing left."""

import contextlib
import io
import logging
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import absl.logging
import mlflow
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import alexnet_exp.run as experiment
from alexnet_exp.cli import main
from alexnet_exp.config.compose import compose_config
from alexnet_exp.config.fingerprint import flatten, science
from tests.conftest import TINY
from tests.data.test_hostile import GOOD_NAMES, bad_archives, bad_images, damaged, encoded

BASE = (*TINY, "dataset.limit_per_class=20", "strategy=features_svm", "strategy.c=[1]", "run.if_exists=rerun")
RESUMED = (*TINY, "dataset.limit_per_class=20", "training.epochs=2")
PHOTOS = ("dataset=image_folder", "dataset.limit_per_class=null")
LEFTOVERS = ("*.partial", "*.part", "*.new")

numbers = st.sampled_from(
    [name for name, value in flatten(science(compose_config([]))).items() if type(value) in (int, float)]
)
bad_settings = st.one_of(
    st.tuples(numbers, st.sampled_from(["abc", "[1]", "{a: 1}", "nan", "-7", "1e999"])).map("=".join),
    st.sampled_from(["model", "dataset", "optimizer", "strategy", "experiment"]).map("{}=nonsense".format),
    st.text(st.sampled_from("=+~{}[]',:@/$a.1"), min_size=1, max_size=12).filter(lambda word: "=" in word[1:]),
)
bad_inputs = st.one_of(
    st.tuples(st.just("configuration"), bad_settings),
    st.tuples(st.just("image"), bad_images),
    st.tuples(st.just("archive"), bad_archives),
    st.tuples(st.just("weights"), st.sampled_from(["network.keras", "weights.safetensors", "weights.npz", "a.pth"])),
    st.tuples(st.just("cache"), st.integers(0, 100)),
    st.tuples(st.just("checkpoint"), st.integers(0, 100)),
)
several = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
policies = st.sampled_from(["error", "skip"])


def command(*words: str) -> tuple[object, str]:
    """What `alexnet-exp` says and ends with."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", ["alexnet-exp", *words])
        # Hydra closes the handlers of logging, and absl's closes a stream that is not standard error any more
        patch.setattr(absl.logging.get_absl_handler().python_handler, "stream", said)
        patch.setenv("HYDRA_FULL_ERROR", "")
        before, handlers = signal.getsignal(signal.SIGTERM), list(logging.root.handlers)
        try:
            main()
        except SystemExit as end:
            return end.code, said.getvalue() + str(end.code or "")
        finally:
            signal.signal(signal.SIGTERM, before)
            for handler in set(logging.root.handlers) - set(handlers):  # Hydra's: the log of a job in its folder
                logging.root.removeHandler(handler)
                handler.close()
    return None, said.getvalue()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a store, photos, weights, filled caches, and a killed run that has checkpoints."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
        patch.chdir(folder)
        for number, name in enumerate(GOOD_NAMES):
            (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "photos" / name).write_bytes(encoded("PNG", number))
        assert command(*BASE, *PHOTOS, "dataset.root=photos")[0] is None

        def killed(*arguments: object) -> None:
            network = strategies["scratch"](*arguments).network
            network.save(folder / "network.keras")
            values = {variable.path: np.asarray(variable.numpy()) for variable in network.weights}
            save_file(values, folder / "weights.safetensors")
            np.savez(folder / "weights.npz", **values)
            raise KeyboardInterrupt

        strategies = experiment.STRATEGIES
        patch.setattr(experiment, "STRATEGIES", strategies | {"scratch": killed})
        assert command(*RESUMED)[0] == 128 + signal.SIGINT
        patch.setattr(experiment, "STRATEGIES", strategies)
        (folder / "a.pth").write_bytes(b"PK\x03\x04 no torch")
        yield folder


def words_for(kind: str, what: object, noise: st.DataObject) -> tuple[str, ...]:
    """Puts a bad input into the working folder; the command that meets it."""
    if kind == "configuration":
        return (*BASE, str(what))
    if kind == "image":
        Path("photos/red/bad.png").write_bytes(what)
        return (*BASE, *PHOTOS, "dataset.root=photos", f"dataset.on_bad_image={noise.draw(policies)}")
    if kind == "archive":
        Path(what[0]).write_bytes(what[1])
        return (*BASE, *PHOTOS, f"dataset.root={what[0]}", f"dataset.on_bad_image={noise.draw(policies)}")
    if kind == "weights":
        file = Path(str(what))
        words: tuple[str, ...] = (*BASE, "weights=file", f"weights.path={file}")
    else:
        roots = {"cache": ".cache", "checkpoint": ".state"}
        files = sorted(path for path in Path(roots[kind]).rglob("*") if path.is_file() and path.suffix != ".lock")
        if kind == "checkpoint":
            files = [path for path in files if "checkpoints" in path.parts]
        file = files[what % len(files)]
        words = RESUMED if kind == "checkpoint" else (*BASE, *PHOTOS, "dataset.root=photos")
    file.write_bytes(noise.draw(damaged(file.read_bytes())))
    return words


def check(prepared: Path, bad: tuple[str, object], noise: st.DataObject) -> str:
    """What came of a bad input."""
    kind, what = bad
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
        folder = shutil.copytree(prepared, Path(name) / "copy", ignore=shutil.ignore_patterns("artifacts"))
        patch.chdir(folder)
        code, said = command(*words_for(kind, what, noise))
        assert "Traceback" not in said
        if code is None:
            assert "test accuracy" in said
        else:
            assert [line for line in said.splitlines() if line.startswith("error: ") and len(line) > 20], said
        assert code is None or kind not in ("cache", "checkpoint"), said
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        statuses = {run.info.status for run in mlflow.search_runs(search_all_experiments=True, output_format="list")}
        assert "RUNNING" not in statuses
        assert [path for pattern in LEFTOVERS for path in folder.rglob(pattern)] == []
    return f"{kind}: {'an error' if code else 'gone on'}"


@given(bad_inputs, st.data())
@settings(several, max_examples=4)
def test_a_bad_input_is_one_line_or_a_skip_and_leaves_nothing(
    prepared: Path, bad: tuple[str, object], noise: st.DataObject
) -> None:
    check(prepared, bad, noise)


@pytest.mark.faults
def test_a_hundred_bad_inputs(prepared: Path, record_property: Callable[[str, object], None]) -> None:
    counts: Counter[str] = Counter()

    @given(bad_inputs, st.data())
    @settings(several, max_examples=100)
    def each(bad: tuple[str, object], noise: st.DataObject) -> None:
        counts[check(prepared, bad, noise)] += 1

    each()
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    record_property(
        "figures", f"{counts.total()} bad inputs, no traceback, no run left RUNNING, no partial file: {kinds}"
    )
