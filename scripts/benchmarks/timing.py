"""Two sides measured in turns, so that both see the same state of the machine."""

import time
from collections.abc import Callable
from statistics import median

MOST_ROUNDS = 8


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turns(first: Callable[[], float], second: Callable[[], float], seconds: float) -> list[tuple[float, float]]:
    """What the two return in each round; who begins changes from round to round.

    There is one round, and as many more as are expected to end within `seconds`.
    """
    pairs: list[tuple[float, float]] = []
    started = time.perf_counter()
    while not pairs or (len(pairs) < MOST_ROUNDS and (time.perf_counter() - started) * (1 + 1 / len(pairs)) < seconds):
        if len(pairs) % 2:
            later = second()
            pairs.append((first(), later))
        else:
            pairs.append((first(), second()))
    return pairs


def median_ratio(pairs: list[tuple[float, float]]) -> float:
    """The median over the rounds of first / second."""
    return median(first / second for first, second in pairs)


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return median(first for first, _ in pairs), median(second for _, second in pairs)
