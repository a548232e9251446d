"""Presence: derived from a person's sessions, broadcast to channels in rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal

from chat.protocol.frames import PresenceFrame, TypingFrame
from chat.protocol.values import Presence, Status
from chat.server.channels.live import LiveChannel
from chat.text import channel_names

__all__ = ["PresenceBroadcaster", "PresenceTracker", "combined", "is_crowded", "typing_frame"]


_ORDER: tuple[Literal["busy", "online", "away"], ...] = ("busy", "online", "away")


def combined(statuses: Iterable[Status]) -> Presence:
    """Return what others see of a person with sessions of these statuses.

    Busy is said on purpose, so one busy session decides; away is only true if all of them are.
    """
    present = set(statuses)
    return next((status for status in _ORDER if status in present), "offline")


class PresenceTracker:
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


PULSE = 0.25
"""Seconds between two rounds of presence and typing: storms leave in one frame per room."""
CROWD = 250
"""Sessions in a room above which presence and typing are no longer told there; `who` answers."""
TYPING_NAMES = 5
"""Names in one `typing` frame."""


class PresenceBroadcaster:
    """What is to be told with the next pulse, on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, presence: PresenceTracker) -> None:
        self._loop = loop
        self._presence = presence
        self._rooms: set[LiveChannel] = set()
        self._pulse: asyncio.TimerHandle | None = None

    def of_person(self, name: str, rooms: Iterable[LiveChannel]) -> None:
        """Have everybody in a person's rooms learn their presence."""
        presence = self._presence.of(name)
        for room in rooms:
            room.presence_news[name] = presence
            self.of_room(room)

    def of_room(self, room: LiveChannel) -> None:
        """Have the room's presence and typing told with the next pulse."""
        self._rooms.add(room)
        if self._pulse is None:
            self._pulse = self._loop.call_later(PULSE, self._tell)

    def snapshot(self, room: LiveChannel) -> PresenceFrame:
        """Return everybody in the room who is not offline."""
        # A direct channel may be hidden from some of its participants, who are no less there.
        names = {member.name for member in room.members} | {*channel_names(room.name)}
        presences = {name: self._presence.of(name) for name in sorted(names)}
        users = {name: each for name, each in presences.items() if each != "offline"}
        return PresenceFrame.known(
            channel=room.name, version=room.presence_version, snapshot=True, users=users
        )

    def _tell(self) -> None:
        self._pulse = None
        rooms, self._rooms = self._rooms, set()
        for room in rooms:
            room.typing.expire(self._loop.time())
            if room.presence_news:
                self._tell_presence(room)
            if not is_crowded(room) and room.typing.version != room.typing_told:
                room.typing_told = room.typing.version
                room.send_ephemeral(typing_frame(room))
            if room.typing:
                self.of_room(room)

    def _tell_presence(self, room: LiveChannel) -> None:
        users, room.presence_news = room.presence_news, {}
        if is_crowded(room):
            room.is_presence_stale = True
        elif room.is_presence_stale:
            room.is_presence_stale = False
            room.send_ephemeral(self.snapshot(room))
        else:
            room.presence_version += 1
            room.send_ephemeral(
                PresenceFrame.known(channel=room.name, version=room.presence_version, users=users)
            )


def is_crowded(room: LiveChannel) -> bool:
    """Whether presence and typing are not told in this room: they would be its main load."""
    return len(room.members) > CROWD


def typing_frame(room: LiveChannel) -> TypingFrame:
    """Return who types in the room now."""
    names = room.typing.names(TYPING_NAMES)
    return TypingFrame(channel=room.name, version=room.typing.version, users=names)
