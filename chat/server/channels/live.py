"""Live channels: connected members and followers, replay, and fan-out of encoded frames.

A `LiveChannel` exists while a member is connected. Each event is encoded once, with its WebSocket
header; all followers get the same bytes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pydantic import BaseModel

from chat.protocol.codec import encode, encode_fields
from chat.protocol.frames import (
    ChannelInvitation,
    Invited,
    Preferences,
    PresenceFrame,
    Read,
    Removed,
    ServerFrame,
)
from chat.protocol.items import EventFields
from chat.protocol.values import Presence
from chat.server.channels.typing import EXPIRY, TypingTracker
from chat.server.transport.connection import Connection
from chat.server.transport.outbound import Outlet, text_frame
from chat.store.operations import Commit, OpenInvitation, User
from chat.text import channel_names, is_direct

__all__ = ["LiveChannel", "LiveChannels", "Member", "Watcher", "invitation_frame"]

log = logging.getLogger(__name__)

MISSED_BYTES = 65_536
"""Maximum bytes of missed events that are sent when a session attaches."""
RECENT = 256
"""Recent events of a channel that are kept encoded, for sessions that attach."""
_ENDS = frozenset(("leave", "deleted"))
"""Kinds of events that end memberships: former members must not get the events after them."""
_EFFECTIVE = frozenset((*_ENDS, "join", "role", "mute", "settings"))
"""Kinds of events that change who is a member, or their rights."""
_NONE: Mapping[str, frozenset[str]] = {}


class Member(Protocol):
    """A signed-in session of a member."""

    connection: Connection
    user: User
    channels: dict[str, LiveChannel]

    @property
    def name(self) -> str:
        """The user's name."""

    def listed(self, channel: str, head: int) -> None:
        """Enter a channel that was added to the user's list; `head` is its last delivered seq."""

    def left(self, channel: str, seq: int, frame: Removed | None) -> None:
        """Leave a channel: the membership ended with the event `seq`.

        `frame` is sent if someone else ended it.
        """

    def hidden(self, channel: str, head: int) -> None:
        """Leave a channel that the user, still a member, has hidden at its `head`."""

    def removed(self, frame: Removed) -> None:
        """Leave a channel that was renamed or deleted, and send the frame."""

    def rights_changed(self, channel: str) -> None:
        """Note that the user's rights in a channel may have changed."""

    def preferences_changed(self, frame: Preferences) -> None:
        """Send changed preferences, and use them in a `joined` that was read before the change."""

    def send(self, frame: ServerFrame) -> None:
        """Send a frame to this session only."""


class Watcher(Protocol):
    """Learns what this server needs from the other servers on its database."""

    def opened(self, channel: LiveChannel) -> None:
        """Handle a new live channel: its first member is connected."""

    def closed(self, channel: LiveChannel) -> None:
        """Handle a channel that is no longer live: its last member is gone."""

    def behind(self, channel: LiveChannel) -> None:
        """Handle a session that waits for events which are not delivered yet."""

    def signed_in(self, user: User) -> None:
        """Handle the first session of a user."""

    def signed_out(self, name: str) -> None:
        """Handle the end of the last session of a user."""

    def sent(self, name: str, frame: Read | Preferences) -> None:
        """Handle a frame that was sent to all sessions of a user on this server."""


class LiveChannel:
    """The live state of one channel.

    `head` is the last delivered seq; the log may have later events. Followers get every event above
    the head at which they attached, in order and without a gap.
    """

    def __init__(
        self,
        name: str,
        head: int,
        *,
        recent: int = RECENT,
        typing_expiry: float = EXPIRY,
        watcher: Watcher | None = None,
    ) -> None:
        self.name = name
        self.head = head
        self.members: dict[Member, int] = {}
        """Sessions of members, following or not, with the head at which they entered."""
        self.followers: dict[Connection, Outlet] = {}
        self.typing = TypingTracker(typing_expiry)
        self.presence_changes: dict[str, Presence] = {}
        """Changes that are not sent yet, by name."""
        self.changed_here: set[str] = set()
        """Those of them who have, or had, sessions on this server."""
        self.elsewhere: dict[str, set[str]] = {}
        """Members with sessions on other servers, by server."""
        self.presence_version = 0
        self.is_presence_stale = False
        """Whether changes were not sent because the channel was crowded."""
        self.typing_sent = 0
        """The last sent version of `typing`."""
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=recent)
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self._watcher = watcher

    def deliver(self, events: Sequence[EventFields], *, is_all: bool = False) -> None:
        """Send committed events to the followers; skip events that were delivered before.

        `is_all`: the commit has no events of other channels, so these can be written at once.
        """
        frames = []
        for event in events:
            seq = event["seq"]
            if seq <= self.head:
                continue
            frame = text_frame(encode_fields(event))
            self.head = seq
            self._recent.append((seq, frame))
            frames.append(frame)
        if frames and self.followers:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            outlets = tuple(self.followers.values())  # sending may remove a slow follower
            if is_all:
                # One loop instead of two (`send`, then `flush`) saves 1 µs for each follower.
                for outlet in outlets:
                    outlet.send_now(data)
            else:
                for outlet in outlets:
                    outlet.send(data)
        if self._waiting:
            self._call_waiting()

    def on_reached(self, head: int, action: Callable[[], None]) -> None:
        """Call `action` as soon as `head` is delivered, or the channel has no members.

        It is called during the delivery: its frames are sent before the answers of the same commit.
        """
        if self.head >= head or not self.members:
            action()
        else:
            self._waiting.append((head, action))
            if self._watcher is not None:
                self._watcher.behind(self)

    def replay_after(self, head: int) -> list[bytes] | None:
        """Return the frames of all events above `head`; None if they are too old or too large."""
        missed = self.head - head
        if missed > len(self._recent):
            return None
        frames = [frame for seq, frame in self._recent if seq > head]
        return frames if sum(map(len, frames)) <= MISSED_BYTES else None

    def send_ephemeral(self, frame: BaseModel) -> None:
        """Send a frame that is not in the log to all followers; slow ones may miss it."""
        data = text_frame(encode(frame))
        for outlet in tuple(self.followers.values()):
            outlet.send_ephemeral(data)

    def send_roles(self, roles: Mapping[str, str]) -> None:
        """Send all followers roles that changed without an event, by name."""
        self.presence_version += 1
        self.send_ephemeral(
            PresenceFrame.known(
                channel=self.name, version=self.presence_version, users={}, roles=roles
            )
        )

    def close(self) -> None:
        """Call all waiting actions: the channel has no members."""
        self._call_waiting()

    def _call_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for head, action in waiting:
            self.on_reached(head, action)


class LiveChannels:
    """The signed-in sessions and their live channels.

    Sessions enter and leave channels when `join`, `leave` and `deleted` events are delivered. A
    direct channel has no such events: its first message adds it to the lists of its participants.

    Args:
        recent: recent events that each channel keeps encoded.
        typing_expiry: seconds after which a `typing` that is not repeated expires.

    `watcher` connects several servers on one database; a single server has none.
    """

    def __init__(self, *, recent: int = RECENT, typing_expiry: float = EXPIRY) -> None:
        self._recent = recent
        self._typing_expiry = typing_expiry
        self.watcher: Watcher | None = None
        self._channels: dict[str, LiveChannel] = {}
        self._sessions: dict[str, dict[Member, None]] = {}
        self._delivered: dict[str, int] = {}
        """The last delivered seq of each channel. Kept after the live channel is removed: a
        snapshot that was read before a commit must not set the head back."""
        self._direct: dict[str, set[LiveChannel]] = {}
        """Direct channels by participant, hidden ones included."""

    def channel(self, name: str) -> LiveChannel | None:
        """Return the live channel with this stored name; None if no member is connected."""
        return self._channels.get(name)

    def all(self) -> tuple[LiveChannel, ...]:
        """Return all live channels."""
        return tuple(self._channels.values())

    # Sessions

    def signed_in(self, session: Member) -> None:
        """Register a session: it is notified of its user's memberships from now on."""
        sessions = self._sessions.setdefault(session.name, {})
        sessions[session] = None
        if self.watcher is not None and len(sessions) == 1:
            self.watcher.signed_in(session.user)

    def signed_out(self, session: Member) -> None:
        """Unregister a session."""
        sessions = self._sessions[session.name]
        del sessions[session]
        if not sessions:
            del self._sessions[session.name]
            if self.watcher is not None:
                self.watcher.signed_out(session.name)

    def sessions_of(self, name: str) -> tuple[Member, ...]:
        """Return the signed-in sessions of a user."""
        return tuple(self._sessions.get(name, ()))

    # Memberships

    def enter(self, session: Member, name: str, head: int) -> LiveChannel:
        """Add a session to a channel; `head` is the channel's last known seq."""
        channel = self._channels.get(name)
        if channel is None:
            channel = LiveChannel(
                name,
                self._first_head(name, head),
                recent=self._recent,
                typing_expiry=self._typing_expiry,
                watcher=self.watcher,
            )
            self._channels[name] = channel
            if self.watcher is not None:
                self.watcher.opened(channel)
            for participant in channel_names(name):
                self._direct.setdefault(participant, set()).add(channel)
        channel.members[session] = head
        return channel

    def _first_head(self, name: str, head: int) -> int:
        """Return the head of a new live channel, which was read in a snapshot as `head`."""
        if self.watcher is None:
            return self._delivered.get(name, head)
        # Other servers may have continued the log meanwhile, or deleted the channel and created
        # another one. If the snapshot is older than the last delivery, the watcher notices it.
        self._delivered.pop(name, None)
        return head

    def leave(self, session: Member, channel: LiveChannel) -> None:
        """Remove a session from a channel."""
        channel.members.pop(session, None)
        channel.followers.pop(session.connection, None)
        if not channel.members:
            channel.close()
            if self._channels.pop(channel.name, None) and self.watcher is not None:
                self.watcher.closed(channel)
            for participant in channel_names(channel.name):
                channels = self._direct.get(participant, set())
                channels.discard(channel)
                if not channels:
                    self._direct.pop(participant, None)

    def direct_channels(self, name: str) -> frozenset[LiveChannel]:
        """Return the live direct channels of a user, hidden ones included."""
        return frozenset(self._direct.get(name, ()))

    def add_to_lists(self, names: Iterable[str], channel: str, head: int) -> None:
        """Notify all sessions of these users that a channel was added to their list."""
        for name in names:
            for session in self.sessions_of(name):
                session.listed(channel, head)

    def send_to(self, name: str, frame: ServerFrame) -> None:
        """Send a frame to all sessions of a user."""
        for session in self.sessions_of(name):
            session.send(frame)

    def marked(self, name: str, frame: Read) -> None:
        """Send a changed read marker to all sessions of a user, on all servers."""
        self.send_to(name, frame)
        if self.watcher is not None:
            self.watcher.sent(name, frame)

    def preferences_changed(self, name: str, frame: Preferences) -> None:
        """Send changed preferences to all sessions of a user, on all servers."""
        for session in self.sessions_of(name):
            session.preferences_changed(frame)
        if self.watcher is not None:
            self.watcher.sent(name, frame)

    def renamed(self, old: str, new: str) -> None:
        """Move the sessions of a direct channel that was renamed, once its events are delivered."""
        head = self._delivered.pop(old, 0)
        if channel := self._channels.get(old):
            for session in tuple(channel.members):
                session.removed(Removed(channel=old))
                session.listed(new, self._delivered.get(new, head))

    # Events

    def committed(self, commit: Commit) -> None:
        """Send the events of a commit, ended invitations, then the answers of its operations."""
        if commit.events:
            self.deliver(commit.events, commit.kept_hidden)
        for user, invitation in commit.uninvited:
            self.send_to(user.name, Invited(invitation=invitation_frame(invitation), remove=True))
        for pending in commit.operations:
            try:
                pending.settle()
            # An internal error in one answer must not stop the commit's other answers.
            except Exception:
                log.exception("cannot send an answer")

    def deliver(
        self, events: Sequence[EventFields], kept_hidden: Mapping[str, frozenset[str]] = _NONE
    ) -> None:
        """Deliver committed events of any channels, in the order of their commits.

        See `Commit.kept_hidden`.
        """
        by_channel: dict[str, list[EventFields]] = {}
        effective: set[str] = set()  # channels with such an event
        for event in events:
            name, kind = event["channel"], event["kind"]
            by_channel.setdefault(name, []).append(event)
            if kind in _EFFECTIVE:
                effective.add(name)
                if kind in _ENDS:
                    self._deliver(name, by_channel.pop(name), is_all=False, has_effects=True)
        is_all = len(by_channel) == 1
        for name, channel_events in by_channel.items():
            self._deliver(name, channel_events, is_all=is_all, has_effects=name in effective)
            if is_direct(name) and any(event["kind"] == "message" for event in channel_events):
                names = set(channel_names(name)).difference(kept_hidden.get(name, ()))
                self.add_to_lists(names, name, channel_events[-1]["seq"])

    def _deliver(
        self, name: str, events: Sequence[EventFields], *, is_all: bool, has_effects: bool
    ) -> None:
        before, last = self._delivered.get(name, 0), events[-1]["seq"]
        if last > before:
            self._delivered[name] = last
        if channel := self._channels.get(name):
            channel.deliver(events, is_all=is_all)
        if has_effects:
            for event in events:
                if event["seq"] > before:  # a repeated event may be outdated
                    self._apply(event)

    def _apply(self, event: EventFields) -> None:
        """Notify the sessions of those whose membership or rights an event changes."""
        name, seq, author = event["channel"], event["seq"], event["author"]
        match event["kind"]:
            case "join":
                self.add_to_lists((author,), name, seq)
            case "leave":
                frame = _removed(event) if "act" in event else None
                for session in self.sessions_of(author):
                    session.left(name, seq, frame)
            case "deleted":
                self._deleted(name, by=author)
            case "role" | "mute" | "settings":
                channel = self._channels.get(name)
                user = event.get("user")  # of `settings`, all members
                for session in tuple(channel.members) if channel else ():
                    if user in (None, session.name):
                        session.rights_changed(name)

    def _deleted(self, name: str, by: str) -> None:
        self._delivered.pop(name, None)  # the next channel of this name begins at 1
        frame = Removed(channel=name, act="deleted", by=by)
        # Sessions outside the live channel may have read it before the deletion.
        for sessions in tuple(self._sessions.values()):
            for session in tuple(sessions):
                session.removed(frame)


def _removed(event: EventFields) -> Removed:
    """Return the frame for the former member of a `leave` event with an act."""
    return Removed(
        channel=event["channel"],
        act=event["act"],
        by=event.get("by"),
        until=event.get("until"),
        reason=event.get("reason"),
    )


def invitation_frame(invitation: OpenInvitation) -> ChannelInvitation:
    """Return an invitation as the protocol has it."""
    return ChannelInvitation.known(
        channel=invitation.channel,
        by=invitation.by,
        ts=invitation.ts,
        topic=invitation.topic,
        private=invitation.private,
    )
