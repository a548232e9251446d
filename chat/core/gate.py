"""Admission control: so many at once, the others in their order, and nobody waits in vain.

When everybody returns at the same time, each sign-in that is begun makes all others slower. A gate
lets a fixed number in, keeps the rest in a queue, and tells who would wait too long when to come
back, instead of letting their patience run out one by one while the work is done for nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable

__all__ = ["Gate"]

WEIGHT = 0.1
"""Of the newest sample in the moving mean of how long one takes."""


class Gate:
    """A first-in, first-out queue before a fixed number of places.

    Args:
        places: how many may be inside at once.
        patience: seconds that anybody may be expected to wait; who would wait longer is sent away.
        chance: returns a number between its two arguments; spreads those who are sent away.
    """

    def __init__(
        self,
        places: int,
        patience: float,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._places = places
        self._patience = patience
        self._chance = chance
        self._inside: dict[Hashable, float] = {}
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._mean = 0.0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter(self, key: Hashable, begin: Callable[[], None], now: float) -> float:
        """Call `begin` at once, or when it is this one's turn.

        Returns:
            0; or, for one who is sent away, the seconds after which to come back. `begin` is never
            called then.
        """
        if len(self._inside) < self._places:
            self._inside[key] = now
            begin()
            return 0.0
        wait = (len(self._waiting) + 1) * self._mean / self._places
        if wait > self._patience:
            return self._chance(wait, 2 * wait)
        self._waiting[key] = begin
        return 0.0

    def leave(self, key: Hashable, now: float) -> None:
        """Give the place, or the place in the queue, to the next; nothing if one has none."""
        if self._waiting.pop(key, None) is not None:
            return
        since = self._inside.pop(key, None)
        if since is None:
            return
        took = now - since
        self._mean += (took - self._mean) * (WEIGHT if self._mean else 1.0)
        if self._waiting:
            following = next(iter(self._waiting))
            begin = self._waiting.pop(following)
            self._inside[following] = now
            begin()
