"""Presence: combined from a user's sessions, sent to channels in periodic rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal, Protocol

from chat.protocol.frames import PresenceFrame, TypingFrame
from chat.protocol.values import Presence, Status
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.text import channel_names

__all__ = ["PresenceBroadcaster", "PresenceTracker", "combined", "typing_frame"]


_ORDER: tuple[Literal["busy", "online", "away"], ...] = ("busy", "online", "away")


def combined(statuses: Iterable[Status]) -> Presence:
    """Return the presence of a user whose sessions have these statuses.

    One busy session makes the user busy; a user is away only if all sessions are.
    """
    present = set(statuses)
    return next((status for status in _ORDER if status in present), "offline")


class PresenceTracker:
    """The statuses of all sessions, by user.

    `set` and `drop` return the user's presence if it has changed, None otherwise.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, dict[object, Status]] = {}

    def of(self, user: str) -> Presence:
        """Return a user's presence."""
        sessions = self._sessions.get(user)
        if not sessions:
            return "offline"
        if len(sessions) == 1:  # the usual case, fast for snapshots of large channels
            return next(iter(sessions.values()))
        return combined(sessions.values())

    def set(self, user: str, session: object, status: Status) -> Presence | None:
        """Set a session's status."""
        before = self.of(user)
        self._sessions.setdefault(user, {})[session] = status
        after = self.of(user)
        return after if after != before else None

    def drop(self, user: str, session: object) -> Presence | None:
        """Remove a session."""
        before = self.of(user)
        if sessions := self._sessions.get(user):
            sessions.pop(session, None)
            if not sessions:
                del self._sessions[user]
        after = self.of(user)
        return after if after != before else None


PULSE = 0.25
"""Seconds between two rounds; a round sends the changes of each channel in one frame."""
CROWD = 250
"""Sessions in a channel above which presence and typing are not sent; `who` still works."""
TYPING_NAMES = 5
"""Names in one `typing` frame."""


class PresentSession(Protocol):
    """A signed-in session."""

    channels: dict[str, LiveChannel]

    @property
    def name(self) -> str:
        """The user's name."""


class PresenceBroadcaster:
    """Sends presence and typing to channels in rounds, on the event loop.

    Args:
        loop: schedules the rounds.
        channels: all live channels.
        pulse: seconds between two rounds.
        crowd: sessions in a channel above which presence and typing are not sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channels: LiveChannels,
        *,
        pulse: float = PULSE,
        crowd: int = CROWD,
    ) -> None:
        self._loop = loop
        self._channels = channels
        self._pulse = pulse
        self._crowd = crowd
        self._tracker = PresenceTracker()
        self._changed: set[LiveChannel] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Send no more rounds: a stop of the server announces nothing."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def of(self, name: str) -> Presence:
        """Return a user's presence."""
        return self._tracker.of(name)

    def set(self, session: PresentSession, status: Status) -> None:
        """Set a session's status, and notify the user's channels of a change."""
        self._changed_everywhere(session, self._tracker.set(session.name, session, status))

    def drop(self, session: PresentSession) -> None:
        """Remove a closed session, and notify the user's channels of a change."""
        self._changed_everywhere(session, self._tracker.drop(session.name, session))

    def _changed_everywhere(self, session: PresentSession, presence: Presence | None) -> None:
        if presence is None:
            return
        # The partner of a direct channel sees the presence even if the user has hidden the channel.
        hidden = self._channels.direct_channels(session.name)
        for channel in {*session.channels.values(), *hidden}:
            self.changed(channel, session.name, presence)

    def changed(self, channel: LiveChannel, name: str, presence: Presence) -> None:
        """Send a user's presence to this channel in the next round."""
        channel.presence_changes[name] = presence
        self.typing_changed(channel)

    def typing_changed(self, channel: LiveChannel) -> None:
        """Send the typing users of this channel in the next round."""
        self._changed.add(channel)
        if self._timer is None and not self._is_stopped:
            self._timer = self._loop.call_later(self._pulse, self._round)

    def is_crowded(self, channel: LiveChannel) -> bool:
        """Whether the channel has too many members for presence and typing."""
        return len(channel.members) > self._crowd

    def snapshot(self, channel: LiveChannel) -> PresenceFrame:
        """Return the presence of all members that are not offline."""
        # Participants of a direct channel count even if they have hidden the channel.
        names = {member.name for member in channel.members} | {*channel_names(channel.name)}
        presences = {name: self.of(name) for name in sorted(names)}
        users = {name: each for name, each in presences.items() if each != "offline"}
        return PresenceFrame.known(
            channel=channel.name, version=channel.presence_version, snapshot=True, users=users
        )

    def _round(self) -> None:
        self._timer = None
        channels, self._changed = self._changed, set()
        for channel in channels:
            channel.typing.expire(self._loop.time())
            if channel.presence_changes:
                self._send_presence(channel)
            if not self.is_crowded(channel) and channel.typing.version != channel.typing_sent:
                channel.typing_sent = channel.typing.version
                channel.send_ephemeral(typing_frame(channel))
            if channel.typing:
                self.typing_changed(channel)

    def _send_presence(self, channel: LiveChannel) -> None:
        users, channel.presence_changes = channel.presence_changes, {}
        if self.is_crowded(channel):
            channel.is_presence_stale = True
        elif channel.is_presence_stale:
            channel.is_presence_stale = False
            channel.send_ephemeral(self.snapshot(channel))
        else:
            channel.presence_version += 1
            channel.send_ephemeral(
                PresenceFrame.known(
                    channel=channel.name, version=channel.presence_version, users=users
                )
            )


def typing_frame(channel: LiveChannel) -> TypingFrame:
    """Return the frame with the typing users of a channel."""
    names = channel.typing.names(TYPING_NAMES)
    return TypingFrame(channel=channel.name, version=channel.typing.version, users=names)
