"""What reaches a terminal: plain lines, and one line a run in a sweep."""

import io
import logging
from collections.abc import Iterator

import pytest

from alexnet_exp import console


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[console.TerminalHandler]:
    console.terminal.cache_clear()
    added = console.TerminalHandler()
    logger = logging.getLogger("alexnet_exp.some")
    logger.addHandler(added)
    logger.setLevel(logging.INFO)
    yield added
    logger.removeHandler(added)
    logger.setLevel(logging.NOTSET)
    console.terminal.cache_clear()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def say() -> None:
    log = logging.getLogger("alexnet_exp.some")
    log.info("plan [bold]%s", "x" * 200)
    log.info("epoch 1", extra=console.IN_VIEW)
    log.warning("careful")
    log.info("test accuracy", extra=console.RESULT)


def test_without_a_terminal_there_are_plain_lines(
    handler: console.TerminalHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    say()
    assert capsys.readouterr().err.splitlines() == ["plan [bold]" + "x" * 200, "epoch 1", "careful", "test accuracy"]


@pytest.mark.parametrize("no_color", [True, False])
def test_a_terminal_shows_epochs_in_its_view(
    handler: console.TerminalHandler, monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    say()
    assert "epoch 1" not in screen.getvalue()
    assert "test accuracy" in screen.getvalue()
    assert ("\x1b[33mcareful" in screen.getvalue()) is not no_color
    logging.getLogger("alexnet_exp.some").setLevel(logging.DEBUG)
    say()
    assert "epoch 1" in screen.getvalue()


def test_a_job_of_a_sweep_shows_its_result_and_warnings(
    handler: console.TerminalHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        console.one_line_a_run("#3 seed=1", shares_terminal=True)
    finally:
        root.removeHandler(handler)
    say()
    assert capsys.readouterr().err.splitlines() == ["#3 seed=1  careful", "#3 seed=1  test accuracy"]
