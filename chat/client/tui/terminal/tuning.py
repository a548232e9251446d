"""Tuning: when garbage is collected, and how often arrivals are painted.

Left alone, Python's collector goes through some 400,000 objects of modules, style sheets and
widgets again and again, and a key waits 90 ms for it. Set aside, only what came later is gone
through. With 100,000 lines loaded that takes 100 ms too, so it is done rarely: at 200 messages a
second every other minute.
"""

from __future__ import annotations

import gc

__all__ = ["MOMENT", "Pace", "pause_collector", "resume_collector"]


_YOUNG, _MIDDLE, _OLD = 2_000, 10, 100


def pause_collector() -> None:
    """Collect no garbage while the program starts: nearly all new objects stay."""
    gc.disable()


def resume_collector() -> None:
    """Exempt the objects made since `pause_collector`, and collect newer garbage."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
        gc.enable()


MOMENT = 0.015
"""Seconds that a key and its paint have for themselves while much arrives."""


class Pace:
    """Lets `burst` things pass at once, and then `rate` of them a second.

    At 200 messages a second the screen would be painted 60 times a second, and a key would wait
    for most of a processor's time; at 30 it is half of that, and looks the same. Then, too, a key
    goes first: its own paint takes 2 ms, together with that of a whole page it took 8.
    """

    def __init__(self, rate: float = 30.0, burst: int = 10) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate
        self._next = 0.0
        self._held = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next may pass; 0 lets it pass, and counts it."""
        due = max(self._next, now)
        begin = max(due - self._slack, self._held)
        if begin - now > 1e-9:
            return begin - now
        self._next = due + self._step
        return 0.0

    def give_way(self, now: float) -> None:
        """Let a key go first, if `burst` things have passed lately.

        Who types without a pause holds nothing up for long: once nothing has passed for two steps,
        something may.
        """
        if self._next - now > self._slack - self._step:
            self._held = now + MOMENT
