"""When others hear that somebody types: at once, then every few seconds, and that it is over."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Pulse"]

_EVERY = 3.0


class Pulse:
    """Says of each change whether it is to be told.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_at: float | None = None

    def beat(self) -> bool:
        """Something was typed: whether others shall hear of it now."""
        now = self._clock()
        if self._told_at is not None and now - self._told_at < _EVERY:
            return False
        self._told_at = now
        return True

    def stop(self) -> bool:
        """Nothing is typed any more: whether others shall hear of it."""
        was_told, self._told_at = self._told_at is not None, None
        return was_told
