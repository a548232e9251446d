"""Processor time of a piece of work, measured robustly on a busy machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Input = TypeVar("Input")

_ROUNDS = 12
"""Maximum rounds: a round may be disturbed; if all are, the work is at fault."""
_MEASURABLE = 0.000_1
"""Seconds; shorter times count as this, as the clock's resolution and constant costs dominate."""


def seconds(work: Callable[[], object], *, enough: float, rounds: int = _ROUNDS) -> float:
    """Return the shortest of several runs in seconds; stop at less than `enough`."""
    fewest = float("inf")
    with _no_collections():
        for _ in range(rounds):
            fewest = min(fewest, _once(work))
            if fewest < enough:
                break
    return fewest


def growth(work: Callable[[Input], object], small: Input, large: Input, *, enough: float) -> float:
    """Return the ratio of `work`'s times for `large` and `small`.

    Both are measured in turns, and the shortest time of each counts: a busy machine only adds time.
    The measurement stops below a ratio of `enough`, or after a number of rounds.
    """
    fewest_small = fewest_large = times = float("inf")
    with _no_collections():
        for _ in range(_ROUNDS):
            for _ in range(2):  # or one disturbed run would hide that the other one is slow
                fewest_small = min(fewest_small, _once(lambda: work(small)))
            fewest_large = min(fewest_large, _once(lambda: work(large)))
            times = fewest_large / max(fewest_small, _MEASURABLE)
            if times < enough:
                break
    return times


def _once(work: Callable[[], object]) -> float:
    """Return the processor seconds of this thread for a run."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


@contextmanager
def _no_collections() -> Iterator[None]:
    """Disable the garbage collector: its time depends on all objects of the process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
