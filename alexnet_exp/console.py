"""Progress bars on a terminal, silence elsewhere."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def progress_bar() -> Progress:
    """A bar on standard error that disappears when it is done; nothing when that is not a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


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
