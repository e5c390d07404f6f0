"""A signal waits until training may stop; a second one does not."""

import signal
from collections.abc import Iterator

import pytest

from alexnet_exp.training.interrupts import held_signals


@pytest.fixture(autouse=True)
def python_takes_sigint() -> Iterator[None]:
    """What is started in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def train(epochs: list[str], signals: int) -> None:
    with held_signals() as let_through:
        for epoch in ("first", "second"):
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
            epochs.append(epoch)
            let_through()


@pytest.mark.parametrize(("signals", "recorded"), [(1, ["first"]), (2, [])])
def test_one_signal_waits_for_the_epoch_a_second_one_does_not(signals: int, recorded: list[str]) -> None:
    epochs: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(epochs, signals)
    assert epochs == recorded
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_after_the_last_epoch_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), held_signals():
        signal.raise_signal(signal.SIGINT)


def test_the_handler_that_was_there_decides_what_happens() -> None:
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with held_signals() as let_through:
            signal.raise_signal(signal.SIGTERM)
            assert received == []
            let_through()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received[0] == signal.SIGTERM
