"""The command line in the processes of launchers, and without the extras that it names."""

import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from alexnet_exp.cli import app, launch, mistakes_in_one_line
from alexnet_exp.config.compose import CONF
from alexnet_exp.errors import ConfigError, WeightsError
from alexnet_exp.sweep import FAILURE, Sweeps


class TwoArguments(Exception):
    """Pickles, and cannot be unpickled: its constructor takes something else than its message."""

    def __init__(self, number: int, reason: str):
        super().__init__(f"{number} {reason}")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[DictConfig]:
    """The configuration of a job in a sweep."""
    kept = HydraConfig.instance().cfg
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose(
            "config",
            ["hydra.mode=MULTIRUN", "hydra.job.num=3", f"hydra.runtime.output_dir={tmp_path}"],
            return_hydra_config=True,
        )
    HydraConfig.instance().set_config(composed)
    yield compose_without_hydra(composed)
    HydraConfig.instance().cfg = kept


def compose_without_hydra(composed: DictConfig) -> DictConfig:
    return DictConfig({name: composed._get_node(name) for name in composed if name != "hydra"})


def test_what_a_job_raises_reaches_the_process_that_launched_it(
    job: DictConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TwoArguments(5, "is wrong")

    monkeypatch.setattr("alexnet_exp.run.run", fail)
    with pytest.raises(RuntimeError, match=r"^TwoArguments: 5 is wrong$") as raised:
        app.__wrapped__(job)
    assert str(pickle.loads(pickle.dumps(raised.value))) == "TwoArguments: 5 is wrong"
    assert "Traceback" in caplog.text
    assert "job 3 failed" in caplog.text


def test_what_ends_a_sweep_is_not_taken_for_the_failure_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends_with(error: Exception) -> None:
        def app() -> None:
            raise error

        monkeypatch.setattr("alexnet_exp.cli.app", app)

    job = tmp_path / "0"
    job.mkdir()
    (job / FAILURE).write_text('{"job": 0, "overrides": [], "cause": "ValueError: of a job"}')
    monkeypatch.setattr(Sweeps, "folders", [tmp_path])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")
    ends_with(RuntimeError("ValueError: of a job"))
    assert launch() == 1
    ends_with(HydraException("no such launcher"))
    assert launch() == "error: no such launcher"
    ends_with(RuntimeError("a worker was killed"))
    with pytest.raises(RuntimeError, match="a worker was killed"):
        launch()


@pytest.mark.skipif(bool(importlib.util.find_spec("ray")), reason="Ray is installed")
def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "alexnet_exp", "-m", "hydra/launcher=ray"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == "error: 'hydra/launcher/ray': expected the extra `ray`, pip install -e '.[ray]'. Received: none"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ConfigError("training.epochs: expected at least 1. Received: 0"),
            "error: training.epochs: expected at least",
            "",
        ),
        (FileNotFoundError(2, "No such file or directory", "x.txt"), "error: [Errno 2] No such file or directory", ""),
        (
            WeightsError("expected arrays. Received: \x1b[2J\ud800é"),
            "error: expected arrays. Received: ?[2J?é",
            "",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_ends_a_script_is_said_in_one_line(
    error: BaseException, code: str | int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @mistakes_in_one_line()
    def script() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        script()
    shown = ended.value.code
    assert shown == code if isinstance(code, int) else str(shown).startswith(code)
    assert capsys.readouterr().err == said
