"""What a terminal shows: log lines, progress bars and the live view of a run; without a terminal, log lines alone."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Item = TypeVar("Item")
IN_VIEW = {"in_view": True}  # `extra` of a log record that a live view shows already
RESULT = {"result": True}  # `extra` of a log record that a job of a sweep shows too
FILE_WIDTH = 160  # columns
COLORS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.DEBUG: "dim"}


@cache
def terminal() -> Console:
    """Standard error, shared by all that writes to it; in colour on a terminal, unless NO_COLOR is set."""
    return Console(stderr=True)


def standard_output() -> Console:
    """For tables: as wide as the terminal, or wide enough for most in a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


class TerminalHandler(logging.Handler):
    """Log records on standard error, one line each, above what is live there.

    Attributes:
      job: the title of a job of a sweep, which shows warnings and its result alone.
    """

    job: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if not (logging.getLogger(record.name).isEnabledFor(logging.DEBUG) or self._is_shown(record)):
            return
        try:
            text = self.format(record) if self.job is None else f"{self.job}  {self.format(record)}"
            terminal().print(Text(text, style=COLORS.get(record.levelno, "")), soft_wrap=True)
        except Exception:
            self.handleError(record)

    def _is_shown(self, record: logging.LogRecord) -> bool:
        if self.job is not None:
            return record.levelno >= logging.WARNING or hasattr(record, "result")
        return not (terminal().is_interactive and hasattr(record, "in_view"))


def one_line_a_run(job: str, shares_terminal: bool) -> None:
    """Makes a job of a sweep show its warnings and its result alone.

    Args:
      job: its title.
      shares_terminal: with jobs that run at the same time: then nothing is live.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TerminalHandler):
            handler.job = job
    if shares_terminal:
        terminal().is_interactive = False


def headed_table(title: str) -> Table:
    """An empty table with a rule below its heads and no other lines."""
    return Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def progress_bar() -> Progress:
    """A bar on standard error that disappears when it is done; nothing when that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=terminal(), transient=True, disable=not terminal().is_interactive)


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yields the items and shows how many of `total` are done."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what native libraries write to standard error: TensorFlow logs at import before its level can be set."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
