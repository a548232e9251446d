"""Delays between connection attempts. Pure; randomness is injected."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]

LEAST = 0.1
"""Seconds; the shortest wait."""


class Backoff:
    """Exponential with full jitter: a random moment within a window that doubles.

    Full jitter spreads clients that lost the same server at the same instant.

    No wait is shorter than a tenth of a second, or `first` where that is less: whatever a server
    says, it cannot make its clients spin.

    Args:
        first: the first window, in seconds.
        longest: the window never grows beyond this.
        chance: returns a number between its two arguments.
    """

    def __init__(
        self,
        first: float = 0.25,
        longest: float = 30.0,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._least = min(first, LEAST)
        self._longest = longest
        self._chance = chance
        self._window = first

    def next(self) -> float:
        """Return the seconds to wait now; the next window is twice as wide."""
        window, self._window = self._window, min(self._window * 2, self._longest)
        return max(self._chance(0, window), self._least)

    def within(self, window: float) -> float:
        """Return a random moment of a window that the server asked for (an hour at most).

        It counts as an attempt, and is not before what `next` says: a server that sends its clients
        away again and again is visited less and less.
        """
        return max(self.next(), self._chance(0, min(window, 3600.0)))

    def reset(self) -> None:
        """Begin again with the first window."""
        self._window = self._first
