"""The users who are typing in a channel; entries expire. Pure."""

from __future__ import annotations

__all__ = ["EXPIRY", "TypingTracker"]

EXPIRY = 6.0
"""Seconds after which a `start` that is not repeated expires."""


class TypingTracker:
    """The users who are typing in one channel.

    Times are seconds of any monotonic clock. `version` grows with every visible change.

    Args:
        expiry: seconds after which a `start` that is not repeated expires.
    """

    __slots__ = ("_expiry", "_until", "version")

    def __init__(self, expiry: float = EXPIRY) -> None:
        self._expiry = expiry
        self._until: dict[str, float] = {}
        self.version = 0

    def names(self, most: int) -> tuple[str, ...]:
        """Return up to `most` names, in the order in which the users started typing."""
        return tuple(self._until)[:most]

    def start(self, name: str, now: float) -> bool:
        """Note that a user is typing; return whether that is a change."""
        is_change = name not in self._until
        self._until[name] = now + self._expiry
        self.version += is_change
        return is_change

    def stop(self, name: str) -> bool:
        """Note that a user has stopped typing; return whether that is a change."""
        is_change = self._until.pop(name, None) is not None
        self.version += is_change
        return is_change

    def expire(self, now: float) -> bool:
        """Remove expired names; return whether there were any."""
        expired = [name for name, until in self._until.items() if until <= now]
        for name in expired:
            del self._until[name]
        self.version += bool(expired)
        return bool(expired)

    def __bool__(self) -> bool:
        """Whether any user is typing."""
        return bool(self._until)
