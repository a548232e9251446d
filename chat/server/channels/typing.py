"""Who is typing in a channel; entries expire by themselves. Pure."""

from __future__ import annotations

__all__ = ["EXPIRY", "TypingTracker"]

EXPIRY = 6.0
"""Seconds after which a `start` that is not repeated is over."""


class TypingTracker:
    """The people who type in one channel, and until when that counts.

    Times are seconds of any monotonic clock. `version` grows with every change others can see.

    Args:
        expiry: seconds after which a `start` that is not repeated is over.
    """

    __slots__ = ("_expiry", "_until", "version")

    def __init__(self, expiry: float = EXPIRY) -> None:
        self._expiry = expiry
        self._until: dict[str, float] = {}
        self.version = 0

    def names(self, most: int) -> tuple[str, ...]:
        """Return who types, in the order in which they began, at most `most` of them."""
        return tuple(self._until)[:most]

    def start(self, name: str, now: float) -> bool:
        """Note that `name` types; whether that is news."""
        news = name not in self._until
        self._until[name] = now + self._expiry
        self.version += news
        return news

    def stop(self, name: str) -> bool:
        """Note that `name` stopped; whether that is news."""
        news = self._until.pop(name, None) is not None
        self.version += news
        return news

    def expire(self, now: float) -> bool:
        """Drop those whose time is over; whether there were any."""
        over = [name for name, until in self._until.items() if until <= now]
        for name in over:
            del self._until[name]
        self.version += bool(over)
        return bool(over)

    def __bool__(self) -> bool:
        """Whether anybody types."""
        return bool(self._until)
