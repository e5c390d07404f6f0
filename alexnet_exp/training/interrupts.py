"""SIGINT and SIGTERM while a network trains: the epoch is finished first."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)


@contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Holds SIGINT and SIGTERM back; a second one takes its course at once.

    Yields:
      A function that lets a signal that has come take its course: to be called where training may stop.
    """
    received: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def hold(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            let_through()
        log.warning("%s: stops when this epoch is done; again stops at once", signal.Signals(number).name)

    def let_through() -> None:
        if received:
            handlers[received[0]](received[0], None)

    if threading.current_thread() is threading.main_thread():  # no other thread gets signals
        for kind in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(kind)):
                handlers[kind] = handler
                signal.signal(kind, hold)
    try:
        yield let_through
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    let_through()
