"""A subscribed channel: its log, members, typing, and the range that screens show."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from chat.client.model.coverage import Coverage
from chat.client.model.log_view import LogView
from chat.client.model.membership import FollowedThreads, Mute, settings_from
from chat.client.model.preferences import (
    DEFAULT_PREFERENCE,
    NO_CHANGE,
    Preference,
    PreferenceChange,
)
from chat.client.model.records import ChannelRecord
from chat.client.model.state import ChannelInfo, MembersChanged, Message
from chat.protocol.limits import LIST_MAX
from chat.rights import DEFAULT, MODERATOR, OWNER, ChannelSettings
from chat.text import channel_names, fold, is_builtin

if TYPE_CHECKING:
    from chat.protocol.frames import Joined, Membership, PresenceFrame, Tick, TypingFrame
    from chat.protocol.items import Event, Item

__all__ = ["Channel"]

_TICKS_MAX = 1_000
_TICK_CHARS = 1_000_000
_tick_numbers = count(1)


class _Member(NamedTuple):
    name: str
    role: str
    presence: str
    muted: bool = False


@dataclass(slots=True)
class Channel:
    """A channel with its log.

    Args:
        view: the log as this client knows it.
        is_member: whether the server lists the user as a member.
        is_attached: whether the server has sent `joined` on this connection.
        shown_from: lowest seq on the screens; None if the channel was never opened.
        server_read: the read marker that the server has.
        preference: the preferences that the server has.
        preference_change: changes of them that the server has not confirmed.
        pins: seqs of the pinned messages.
        mute: the user's mute; it may have ended by itself.
    """

    view: LogView
    topic: str = ""
    role: str = "member"
    settings: ChannelSettings = DEFAULT
    mute: Mute | None = None
    is_member: bool = False
    is_attached: bool = False
    shown_from: int | None = None
    is_loading: bool = False
    server_read: int = 0
    preference: Preference = DEFAULT_PREFERENCE
    preference_change: PreferenceChange = NO_CHANGE
    pins: frozenset[int] = frozenset()
    member_total: int = 0
    typing: tuple[str, ...] = ()
    ticks: deque[Message] = field(default_factory=deque)
    """The newest lines of a built-in channel. They are only in memory."""
    _members: dict[str, _Member] = field(default_factory=dict)
    _members_as_of: int = 0
    _tick_chars: int = 0
    _presence_version: int = -1
    _typing_version: int = -1

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.view.channel

    @property
    def is_stored(self) -> bool:
        """Whether the channel's lines are stored on disk."""
        return not is_builtin(self.name)

    @property
    def is_complete(self) -> bool:
        """Whether the screens hold the first line of the log."""
        view = self.view
        if not view.epoch or self.shown_from is None:
            return False
        return self.shown_from <= 1 and (view.head == 0 or view.coverage.around(1) is not None)

    @property
    def effective_preference(self) -> Preference:
        """The preferences, unconfirmed changes included."""
        return (
            self.preference_change.apply_to(self.preference)
            if self.preference_change
            else self.preference
        )

    def info(self, has_draft: bool, failed: int) -> ChannelInfo:
        """Return the channel's entry for the sidebar."""
        view = self.view
        me = fold(view.me)
        preference = self.effective_preference
        return ChannelInfo(
            name=self.name,
            topic=self.topic,
            role=self.role,
            head=max(view.head, view.position),
            read=view.read,
            unread=view.unread,
            mentions=view.mentions,
            direct=tuple(name for name in channel_names(self.name) if fold(name) != me),
            has_draft=has_draft,
            failed=failed,
            builtin=is_builtin(self.name),
            pinned=preference.pinned,
            muted=preference.muted,
            level=preference.level,
            pins=len(self.pins),
            is_member=self.is_member,
            settings=self.settings,
            mute=self.mute,
            threads=view.threads.waiting,
            followed=frozenset(thread.root for thread in view.threads if thread.following),
        )

    # On disk

    def record(self) -> ChannelRecord:
        """Return the record to store on disk."""
        view = self.view
        return ChannelRecord(
            name=self.name,
            epoch=view.epoch,
            position=view.position,
            mid=view.mid,
            spans=tuple(view.coverage.spans),
            topic=self.topic,
            role=self.role,
            read=view.read,
            unread=view.unread,
            mentions=view.mentions,
            marked=self.server_read,
            preference=self.preference,
            pins=tuple(sorted(self.pins)),
            settings=self.settings,
            mute=self.mute,
            threads=tuple(view.threads),
        )

    def restore(self, record: ChannelRecord) -> None:
        """Restore the channel from a stored record."""
        self.topic, self.role, self.server_read = record.topic, record.role, record.marked
        self.preference, self.is_member = record.preference, True
        self.pins = frozenset(record.pins)
        self.settings, self.mute = record.settings, record.mute
        self.view.threads = FollowedThreads(record.threads)
        self.view.apply_mark(record.read, record.unread, record.mentions)
        self.restore_log(record)

    def restore_log(self, record: ChannelRecord) -> None:
        """Restore only position and coverage from a stored record."""
        if record.epoch:
            coverage = Coverage(record.spans)
            self.view.restore(record.epoch, record.position, record.mid, coverage)

    # Members

    def listed(self, frame: Membership | Joined) -> None:
        """Apply the user's membership: topic, role, settings, mute, and followed threads."""
        self.is_member = True
        self.topic, self.role = frame.topic, frame.role
        self.settings, self.mute = settings_from(frame.settings), Mute.from_frame(frame.mute)
        self.view.threads.take(frame.threads, frame.head)

    def joined(self, frame: Joined) -> None:
        """Apply members, topic, role and pins from `joined`."""
        self.listed(frame)
        self.pins = frozenset(frame.pins)
        self.is_attached = True
        self._members = {
            fold(each.name): _Member(each.name, each.role, each.presence, each.muted)
            for each in frame.members
        }
        self._members_as_of = frame.head
        self.member_total = frame.member_count
        self._presence_version = self._typing_version = -1
        self.typing = ()

    def detach(self) -> None:
        """Drop the state that belongs to the closed connection."""
        self.is_attached = self.is_loading = False
        self.typing = ()
        self.view.detach()

    def apply(self, entry: Item | Event) -> bool:
        """Apply an entry to topic, pins and members; return whether the member list may differ."""
        if entry.kind == "topic":
            if entry.topic is not None:
                self.topic = entry.topic
            return True
        if entry.seq <= self._members_as_of:
            return False
        self._apply_to_pins(entry)
        if entry.kind == "settings":
            self.settings = settings_from(entry.settings)
        if entry.kind not in ("join", "leave", "role", "mute"):
            return False
        self._apply_to_members(entry)
        return True

    def _apply_to_members(self, entry: Item | Event) -> None:
        who = fold(entry.user or entry.author)
        if entry.kind == "join":
            if who not in self._members:
                self.member_total += 1
            self._add_member(who, _Member(entry.author, "member", "online"))
        elif entry.kind == "leave":
            self._members.pop(who, None)
            self.member_total = max(0, self.member_total - 1)
        elif entry.kind == "mute":
            self._set_mute(who, entry)
        elif entry.role is not None:
            if entry.role == OWNER:
                self._end_ownership()
            self._set_role(who, entry.role)

    def _add_member(self, who: str, member: _Member) -> None:
        if len(self._members) < LIST_MAX:
            self._members[who] = member

    def _apply_to_pins(self, entry: Item | Event) -> None:
        if entry.kind == "expire" and entry.up_to is not None:
            self.pins = frozenset(seq for seq in self.pins if seq > entry.up_to)
        elif entry.target is None or entry.kind not in ("pin", "delete"):
            return
        elif entry.kind == "delete" or entry.remove:
            self.pins -= {entry.target}
        elif len(self.pins) < LIST_MAX:
            self.pins |= {entry.target}

    def _end_ownership(self) -> None:
        """Make the former owner a moderator: a channel has one owner."""
        if self.role == OWNER:
            self.role = MODERATOR
        for who, member in self._members.items():
            if member.role == OWNER:
                self._members[who] = member._replace(role=MODERATOR)

    def _set_role(self, who: str, role: str) -> None:
        if who == fold(self.view.me):
            self.role = role
        if member := self._members.get(who):
            self._members[who] = member._replace(role=role)

    def _set_mute(self, who: str, entry: Item | Event) -> None:
        if who == fold(self.view.me):
            mute = Mute(entry.author, entry.until, entry.reason or "")
            self.mute = None if entry.remove else mute
        if member := self._members.get(who):
            self._members[who] = member._replace(muted=not entry.remove)

    def apply_presence(self, frame: PresenceFrame) -> bool:
        """Apply a presence frame; return whether it was newer."""
        if frame.version <= self._presence_version and not frame.snapshot:
            return False
        self._presence_version = frame.version
        if frame.snapshot:
            for key, member in self._members.items():
                self._members[key] = member._replace(presence="offline")
        for name, presence in frame.users.items():
            if known := self._members.get(fold(name)):
                self._members[fold(name)] = known._replace(presence=presence)
        for name, role in frame.roles.items():
            if known := self._members.get(fold(name)):
                self._members[fold(name)] = known._replace(role=role)
        return True

    def apply_typing(self, frame: TypingFrame) -> bool:
        """Apply a typing frame; return whether it was newer."""
        if frame.version <= self._typing_version:
            return False
        self._typing_version = frame.version
        me = fold(self.view.me)
        self.typing = tuple(name for name in frame.users if fold(name) != me)
        return True

    def members(self) -> MembersChanged:
        """Return the member list for the screens."""
        members = self._members.values()
        rows = ((member.name, member.role, member.presence) for member in members)
        muted = frozenset(member.name for member in members if member.muted)
        return MembersChanged(self.name, tuple(rows), self.member_total, muted)

    def tick(self, frame: Tick) -> Message:
        """Return the line of a tick in a built-in channel; it has no seq."""
        return Message(
            channel=self.name,
            seq=None,
            cid=f"tick-{next(_tick_numbers)}",
            author=self.name.removeprefix("#"),
            ts=time.time_ns() // 1_000_000,
            kind="tick",
            text=frame.text,
        )

    def add_tick(self, line: Message) -> list[str]:
        """Add a line of a built-in channel; return the cids of dropped lines."""
        dropped: list[str] = []
        self.ticks.append(line)
        self._tick_chars += len(line.text)
        while len(self.ticks) > _TICKS_MAX or self._tick_chars > _TICK_CHARS:
            oldest = self.ticks.popleft()
            self._tick_chars -= len(oldest.text)
            dropped.append(oldest.cid or "")
        return dropped
