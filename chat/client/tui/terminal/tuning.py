"""Tuning: when garbage is collected, and how often new messages are painted.

By default, Python's collector repeatedly traverses about 400,000 objects of modules, style sheets
and widgets, and a key waits 90 ms. Frozen objects are skipped. A full collection with 100,000
loaded messages takes 100 ms too, so it is rare: every two minutes at 200 messages per second.
"""

from __future__ import annotations

import gc

__all__ = ["MOMENT", "Pace", "pause_collector", "resume_collector"]


_YOUNG, _MIDDLE, _OLD = 2_000, 10, 100


def pause_collector() -> None:
    """Disable the collector during start-up, when nearly all new objects stay alive."""
    gc.disable()


def resume_collector() -> None:
    """Freeze all current objects, and enable the collector; no-op if it is enabled."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
        gc.enable()


MOMENT = 0.015
"""Seconds for which a key delays the painting of new messages."""


class Pace:
    """A rate limit of screen updates: `burst` at once, then `rate` per second.

    At 200 messages per second, 30 updates per second take half the processor time of 60 and look
    the same. A key delays the next update, because painting its effect alone takes 2 ms, and
    together with a whole page 8 ms.
    """

    def __init__(self, rate: float = 30.0, burst: int = 10) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate
        self._next = 0.0
        self._held = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next update; 0 allows it now, and counts it."""
        due = max(self._next, now)
        begin = max(due - self._slack, self._held)
        if begin - now > 1e-9:
            return begin - now
        self._next = due + self._step
        return 0.0

    def delay_for_key(self, now: float) -> None:
        """Delay the next update for a key, if the burst is nearly used up.

        Continuous typing does not block updates: the delay ends two steps after the last update.
        """
        if self._next - now > self._slack - self._step:
            self._held = now + MOMENT
