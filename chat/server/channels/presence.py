"""Presence: derived from a person's sessions, broadcast to channels in rounds."""

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
"""Seconds between two rounds of presence and typing: a storm leaves in one frame per channel."""
CROWD = 250
"""Sessions in a channel above which presence and typing are not sent there; `who` answers."""
TYPING_NAMES = 5
"""Names in one `typing` frame."""


class PresentSession(Protocol):
    """A signed-in session, as presence sees it."""

    channels: dict[str, LiveChannel]

    @property
    def name(self) -> str:
        """The person's name."""


class PresenceBroadcaster:
    """Sends presence and typing to the channels in rounds, on the event loop.

    Args:
        loop: for the rounds.
        channels: where the people are.
        pulse: seconds between two rounds.
        crowd: sessions in a channel above which nothing is sent there.
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

    def of(self, name: str) -> Presence:
        """Return what others see of this person now."""
        return self._tracker.of(name)

    def set(self, session: PresentSession, status: Status) -> None:
        """Note a session's status; everybody who shares a channel with the person learns it."""
        self._tell(session, self._tracker.set(session.name, session, status))

    def drop(self, session: PresentSession) -> None:
        """Forget a session that is over."""
        self._tell(session, self._tracker.drop(session.name, session))

    def _tell(self, session: PresentSession, presence: Presence | None) -> None:
        if presence is None:
            return
        # A direct channel may be hidden from the person, who is there all the same.
        hidden = self._channels.direct_channels(session.name)
        for channel in {*session.channels.values(), *hidden}:
            self.changed(channel, session.name, presence)

    def changed(self, channel: LiveChannel, name: str, presence: Presence) -> None:
        """Send a person's presence in this channel with the next round."""
        channel.presence_news[name] = presence
        self.typing_changed(channel)

    def typing_changed(self, channel: LiveChannel) -> None:
        """Send who types in this channel with the next round."""
        self._changed.add(channel)
        if self._timer is None:
            self._timer = self._loop.call_later(self._pulse, self._round)

    def is_crowded(self, channel: LiveChannel) -> bool:
        """Whether nothing is sent in this channel, since it would be the main load there."""
        return len(channel.members) > self._crowd

    def snapshot(self, channel: LiveChannel) -> PresenceFrame:
        """Return everybody in the channel who is not offline."""
        # A direct channel may be hidden from some of its participants, who are no less there.
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
            if channel.presence_news:
                self._send_presence(channel)
            if not self.is_crowded(channel) and channel.typing.version != channel.typing_told:
                channel.typing_told = channel.typing.version
                channel.send_ephemeral(typing_frame(channel))
            if channel.typing:
                self.typing_changed(channel)

    def _send_presence(self, channel: LiveChannel) -> None:
        users, channel.presence_news = channel.presence_news, {}
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
    """Return who types in the channel now."""
    names = channel.typing.names(TYPING_NAMES)
    return TypingFrame(channel=channel.name, version=channel.typing.version, users=names)
