"""How often arrivals are shown: at once, until they come so fast that nobody could read them."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """Lets `burst` things pass at once, and then `rate` of them a second.

    At 200 messages a second the screen would be painted 60 times a second, and a key would wait
    for most of a processor's time; at 30 it is half of that, and looks the same.
    """

    def __init__(self, rate: float = 30.0, burst: int = 10) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next may pass; 0 lets it pass, and counts it."""
        due = max(self._next, now)
        if due - now > self._slack + 1e-9:
            return due - now - self._slack
        self._next = due + self._step
        return 0.0
