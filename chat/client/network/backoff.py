"""Delays between connection attempts. Pure; randomness is injected."""

from __future__ import annotations

import random
from collections.abc import Callable

from chat.errors import CommandError

__all__ = ["PAUSE_MAX", "Backoff"]

PAUSE_MAX = 60.0
"""Maximum seconds that a server can ask a client to wait."""

LEAST = 0.1
"""Seconds; the shortest delay."""


class Backoff:
    """Exponential backoff with full jitter: a random delay within a window that doubles.

    Full jitter spreads clients that lost the same server at the same time. No delay is shorter
    than 0.1 s (or `first`, if that is less), so no server can cause a tight reconnect loop.

    Args:
        first: the first window, in seconds.
        longest: the maximum window, in seconds.
        chance: returns a random number between its two arguments.
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
        """Return the next delay in seconds, and double the window."""
        window, self._window = self._window, min(self._window * 2, self._longest)
        return max(self._chance(0, window), self._least)

    def within(self, window: float) -> float:
        """Return a random delay within a window requested by the server (at most an hour).

        It counts as an attempt and is at least as long as `next`: a server that keeps sending
        clients away gets fewer and fewer connections.
        """
        return max(self.next(), self._chance(0, min(window, 3600.0)))

    def after(self, error: CommandError) -> float:
        """Return the delay before a rejected command is sent again."""
        return max(0.05, self.next(), min(error.retry_after or 0.0, PAUSE_MAX))

    def reset(self) -> None:
        """Return to the first window."""
        self._window = self._first
