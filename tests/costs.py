"""Processor time of a piece of work, measured to give the same verdict on a busy machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Input = TypeVar("Input")

_ROUNDS = 12
"""A round is disturbed now and then; that all of these are is a fault of the work."""
_MEASURABLE = 0.000_1
"""Seconds; less is taken for this much, as the clock and a constant cost decide it."""


def seconds(work: Callable[[], object], *, enough: float, rounds: int = _ROUNDS) -> float:
    """Return the fewest seconds that a run took; stop running at less than `enough`."""
    fewest = float("inf")
    with _no_collections():
        for _ in range(rounds):
            fewest = min(fewest, _once(work))
            if fewest < enough:
                break
    return fewest


def growth(work: Callable[[Input], object], small: Input, large: Input, *, enough: float) -> float:
    """Return how many times as long `work` takes for `large` as for `small`.

    Both are measured in turns, and the fewest seconds of each count: a busy machine only adds.
    Measuring stops at less than `enough` times, or after a number of rounds.
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
    """Return the seconds of a processor that this thread takes for a run."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the garbage collector off: its time depends on all objects of the process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
