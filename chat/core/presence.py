"""Who is there: a person's presence follows from all their sessions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from chat.protocol.values import Presence, Status

__all__ = ["PresenceBook", "combined"]

_ORDER: tuple[Literal["busy", "online", "away"], ...] = ("busy", "online", "away")


def combined(statuses: Iterable[Status]) -> Presence:
    """Return what others see of a person with sessions of these statuses.

    Busy is said on purpose, so one busy session decides; away is only true if all of them are.
    """
    present = set(statuses)
    return next((status for status in _ORDER if status in present), "offline")


class PresenceBook:
    """The statuses of all live sessions, by name.

    Every method returns the person's new presence if others see a change, None otherwise.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, dict[object, Status]] = {}

    def of(self, user: str) -> Presence:
        """Return what others see of this person now."""
        sessions = self._sessions.get(user)
        if not sessions:
            return "offline"
        if len(sessions) == 1:  # nearly everybody: a snapshot of a channel asks for all of them
            return next(iter(sessions.values()))
        return combined(sessions.values())

    def set(self, user: str, session: object, status: Status) -> Presence | None:
        """Note a session's status; the first one brings the person online."""
        before = self.of(user)
        self._sessions.setdefault(user, {})[session] = status
        after = self.of(user)
        return after if after != before else None

    def drop(self, user: str, session: object) -> Presence | None:
        """Forget a session; the last one takes the person offline."""
        before = self.of(user)
        if sessions := self._sessions.get(user):
            sessions.pop(session, None)
            if not sessions:
                del self._sessions[user]
        after = self.of(user)
        return after if after != before else None
