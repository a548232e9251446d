"""Presence: combined from a user's sessions, sent to channels in periodic rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal, Protocol

from chat.protocol.frames import PresenceFrame, TypingFrame
from chat.protocol.values import Presence, Status
from chat.server.channels.live import LiveChannel, LiveChannels
from chat.text import channel_names

__all__ = [
    "LINGERING",
    "Elsewhere",
    "PresenceBroadcaster",
    "PresenceTracker",
    "combined",
    "typing_frame",
]


Channels = set[LiveChannel]
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


class Elsewhere(Protocol):
    """Sends the presence of the sessions here to the other servers on the database."""

    def set(self, name: str, session: object, status: Status) -> None:
        """Handle the new status of a session here."""

    def drop(self, name: str, session: object) -> None:
        """Handle the end of a session here."""

    def entered_or_left(self, channel: LiveChannel, names: Iterable[str]) -> None:
        """Handle users who may have entered or left a channel here."""

    def typing(self, channel: LiveChannel, name: str, *, is_typing: bool) -> None:
        """Handle a user here who has started or stopped typing."""


LINGERING = ""
"""The place, among those of other servers, of users whose last session here has just ended."""


class PresenceBroadcaster:
    """Sends presence and typing to channels in rounds, on the event loop.

    With several servers on one database (`use`), a user's presence combines those of all servers.

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
        self._elsewhere: Elsewhere | None = None
        self._linger = 0.0
        self._channels_of: dict[str, Channels] = {}
        """The channels in which users have sessions on other servers, by name."""

    def use(self, elsewhere: Elsewhere, linger: float) -> None:
        """Tell other servers of the sessions here.

        The end of a session counts after `linger` seconds: a client that reconnects to another
        server is not seen to leave.
        """
        self._elsewhere, self._linger = elsewhere, linger

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
        presence = self._tracker.set(session.name, session, status)
        if self._elsewhere is not None:
            self._elsewhere.set(session.name, session, status)
        if presence is not None:
            for channel in self._seen_in(session):
                self.changed(channel, session.name, presence)

    def drop(self, session: PresentSession) -> None:
        """Remove a closed session, and notify the user's channels of a change."""
        channels = self._seen_in(session)
        if self._elsewhere is None:
            self._dropped(session, channels)
            return
        for channel in channels:
            channel.elsewhere.setdefault(LINGERING, set()).add(session.name)
        self._loop.call_later(self._linger, self._dropped, session, channels)

    def _dropped(self, session: PresentSession, channels: Iterable[LiveChannel]) -> None:
        name = session.name
        presence = self._tracker.drop(name, session)
        if self._elsewhere is not None:
            self._elsewhere.drop(name, session)
            for channel in channels:
                channel.elsewhere.get(LINGERING, set()).discard(name)
                channel.changed_here.add(name)
                self.typing_changed(channel)
        if presence is not None:
            for channel in channels:
                self.changed(channel, name, presence)

    def _seen_in(self, session: PresentSession) -> Channels:
        # The partner of a direct channel sees the presence even if the user has hidden the channel.
        hidden = self._channels.direct_channels(session.name)
        return {*session.channels.values(), *hidden}

    def changed(self, channel: LiveChannel, name: str, presence: Presence) -> None:
        """Send a user's presence to this channel in the next round."""
        channel.presence_changes[name] = presence
        channel.changed_here.add(name)
        self.typing_changed(channel)

    def start_typing(self, channel: LiveChannel, name: str) -> None:
        """Show a user here as typing; repeat it, because it expires."""
        if channel.typing.start(name, self._loop.time()):
            self.typing_changed(channel)
        if self._elsewhere is not None:
            self._elsewhere.typing(channel, name, is_typing=True)

    def stop_typing(self, channel: LiveChannel, name: str) -> None:
        """Show a user here as typing no longer."""
        if channel.typing.stop(name):
            self.typing_changed(channel)
            if self._elsewhere is not None:
                self._elsewhere.typing(channel, name, is_typing=False)

    # Users on other servers

    def set_elsewhere(self, name: str, server: str, status: Status) -> None:
        """Set the presence of a user on another server."""
        self._changed_elsewhere(name, self._tracker.set(name, server, status))

    def drop_elsewhere(self, name: str, server: str) -> None:
        """Note that a user has no session on another server."""
        self._changed_elsewhere(name, self._tracker.drop(name, server))

    def _changed_elsewhere(self, name: str, presence: Presence | None) -> None:
        if presence is None:
            return
        channels = self._channels_of.get(name, set()) | self._channels.direct_channels(name)
        for session in self._channels.sessions_of(name):
            channels |= set(session.channels.values())
        for channel in channels:
            channel.presence_changes[name] = presence
            self.typing_changed(channel)

    def moved_elsewhere(self, channel: LiveChannel, names: Iterable[str]) -> None:
        """Send the presence of users who may have entered or left a channel on other servers."""
        here = {member.name for member in channel.members}
        for name in names:
            is_elsewhere = any(name in each for each in channel.elsewhere.values())
            if is_elsewhere:
                self._channels_of.setdefault(name, set()).add(channel)
            elif channels := self._channels_of.get(name):
                channels.discard(channel)
                if not channels:
                    del self._channels_of[name]
            is_member = is_elsewhere or name in here
            channel.presence_changes[name] = self.of(name) if is_member else "offline"
        self.typing_changed(channel)

    def closed(self, channel: LiveChannel) -> None:
        """Forget a channel that is no longer live."""
        names = set().union(*channel.elsewhere.values())
        channel.elsewhere.clear()
        self.moved_elsewhere(channel, names)

    def typing_changed(self, channel: LiveChannel) -> None:
        """Send the typing users of this channel in the next round."""
        self._changed.add(channel)
        if self._timer is None and not self._is_stopped:
            self._timer = self._loop.call_later(self._pulse, self._round)

    def is_crowded(self, channel: LiveChannel) -> bool:
        """Whether the channel has too many members for presence and typing."""
        elsewhere = sum(map(len, channel.elsewhere.values())) if channel.elsewhere else 0
        return len(channel.members) + elsewhere > self._crowd

    def snapshot(self, channel: LiveChannel) -> PresenceFrame:
        """Return the presence of all members that are not offline."""
        # Participants of a direct channel count even if they have hidden the channel.
        names = {member.name for member in channel.members} | {*channel_names(channel.name)}
        names = names.union(*channel.elsewhere.values())
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
            if channel.changed_here:
                names, channel.changed_here = channel.changed_here, set()
                if self._elsewhere is not None:
                    self._elsewhere.entered_or_left(channel, names)
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
