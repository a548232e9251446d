"""One channel of the model: its events, and the readable state that results from them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from chat.protocol.items import Event, Item
from chat.protocol.values import ChannelSettings
from tests.model.table import USUAL_SETTINGS

__all__ = ["UNKNOWN", "Entry", "Log", "Marker", "Mute", "mentioned_in"]

UNKNOWN = "?"
"""Marks values that only the server can know: an epoch, a mid."""
LINES = ("message", "topic", "join", "leave", "role", "settings", "ban", "mute", "expire")
_NAME = re.compile(r"@(\w+)")


@dataclass
class Entry:
    """One event, and the changes by later events."""

    seq: int
    author: str
    kind: str
    cid: str | None = None
    target: int | None = None
    text: str | None = None
    me: bool = False
    reply_to: int | None = None
    thread: int | None = None
    mentions: tuple[str, ...] = ()
    emoji: str | None = None
    remove: bool = False
    topic: str | None = None
    thread_only: bool = False
    user: str | None = None
    role: str | None = None
    by: str | None = None
    act: str | None = None
    reason: str | None = None
    until: int | None = None
    settings: ChannelSettings | None = None
    changed: tuple[str, ...] = ()
    up_to: int | None = None
    rev: int = 0
    is_edited: bool = False
    is_erased: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    is_pinned: bool = False

    def event(self, channel: str) -> Event:
        """Return it as it is delivered live."""
        return Event(channel=channel, **self._body())

    def item(self) -> Item:
        """Return it as it is read now."""
        return Item(
            **self._body(),
            rev=self.rev,
            edited=self.is_edited,
            pinned=self.is_pinned,
            erased=self.is_erased,
            reactions={emoji: tuple(names) for emoji, names in self.reactions.items()},
        )

    @property
    def has_text(self) -> bool:
        """Whether it is a line with a text of a user."""
        return (self.kind in ("message", "topic") and not self.is_erased) or bool(self.reason)

    def erase(self) -> None:
        """Remove its text."""
        self.text, self.emoji, self.mentions, self.is_erased = None, None, (), True

    def _body(self) -> dict[str, Any]:
        names = ("seq", "author", "kind", "cid", "target", "text", "me", "reply_to", "mentions")
        more = ("thread", "emoji", "remove", "topic", "thread_only", "user", "role", "by", "act")
        last = ("reason", "until", "settings", "changed", "up_to")
        known = {name: getattr(self, name) for name in (*names, *more, *last)}
        return {"mid": UNKNOWN, "ts": 0} | known


@dataclass
class Mute:
    """A mute of a member; it lasts when they leave."""

    by: str
    until: int | None
    reason: str


@dataclass
class Marker:
    """Somebody's marker in a thread."""

    read: int
    is_following: bool = True


@dataclass
class Log:
    """A channel: its events, and the role, read marker and preferences of each member."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    preferences: dict[str, dict[str, Any]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Members who have hidden the direct channel until its next message."""
    topic: str = ""
    typing: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=lambda: dict(USUAL_SETTINGS))
    mutes: dict[str, Mute] = field(default_factory=dict)
    bans: dict[str, Mute] = field(default_factory=dict)
    invited: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Who invited each invited user, and whether the invitation is silent."""
    invited_at: dict[str, int] = field(default_factory=dict)
    """The order of the invitations."""
    expired: int = 0
    """The texts up to this seq have expired."""
    since: dict[str, int] = field(default_factory=dict)
    """The seq at which each member joined."""
    threads: dict[tuple[str, int], Marker] = field(default_factory=dict)
    """The markers of all users, by user and root."""

    @property
    def head(self) -> int:
        """The last sequence number."""
        return len(self.entries)

    @property
    def is_direct(self) -> bool:
        """Whether it is a direct channel."""
        return self.name.startswith("@")

    @property
    def is_private(self) -> bool:
        """Whether it is a private channel."""
        return bool(self.settings["private"])

    @property
    def lines(self) -> list[Entry]:
        """The events that have a line of their own in a timeline."""
        return [entry for entry in self.entries if entry.kind in LINES]

    @property
    def pins(self) -> tuple[int, ...]:
        """The messages that are pinned."""
        return tuple(entry.seq for entry in self.entries if entry.is_pinned)

    def message(self, seq: int) -> Entry | None:
        """Return the message with this number; None if there is none, or it was deleted."""
        found = self.entries[seq - 1] if 0 < seq <= self.head else None
        is_there = found is not None and found.kind == "message" and not found.is_erased
        return found if is_there else None

    def add(self, author: str, kind: str, **fields: Any) -> Entry:
        """Append an event, and apply it to its target message."""
        seq = self.head + 1
        entry = Entry(seq, author, kind, rev=seq, **fields)
        if entry.reply_to is not None:
            entry.thread = self.root(entry.reply_to)
            self._follow_by(entry, entry.seq)
        if entry.target is not None:
            target = self.entries[entry.target - 1]
            about = [other for other in self.entries if other.target == entry.target]
            target.rev = seq
            self._fold(entry, target, about)
        self.entries.append(entry)
        return entry

    def _follow_by(self, entry: Entry, seq: int) -> None:
        """Let the author of a reply, the author of the root, and the mentioned follow a thread."""
        message = self.entries[seq - 1] if seq <= self.head else entry
        root = message.thread
        assert root is not None
        marker = self.threads.setdefault((entry.author, root), Marker(seq))
        marker.is_following = True
        for name in (self.entries[root - 1].author, *entry.mentions):
            self.threads.setdefault((name, root), Marker(seq - 1))

    def thread_counts(self, user: str, root: int, ignored: Collection[str]) -> tuple[int, int]:
        """Return the counts of a member's unread replies and mentions in a thread."""
        floor = max(self.threads[user, root].read, self.since[user])
        above = [
            entry
            for entry in self.entries[floor:]
            if entry.thread == root and entry.thread_only and _is_unread(entry, user, ignored)
        ]
        return len(above), sum(user in entry.mentions for entry in above)

    def root(self, seq: int) -> int:
        """Return the root of a message's thread."""
        answered = self.entries[seq - 1].reply_to
        return seq if answered is None else self.root(answered)

    def mentioned(self, author: str, text: str, reply_to: int | None) -> tuple[str, ...]:
        """Return the users whom a message mentions, and the author of the message it replies to."""
        named = mentioned_in(text, self.roles)
        answered = None if reply_to is None else self.entries[reply_to - 1].author
        is_one_more = answered in self.roles and answered not in (author, *named)
        return (*named, answered) if is_one_more and answered is not None else named

    def unread(self, user: str, ignored: Collection[str]) -> tuple[int, int]:
        """Return the counts of a member's unread messages and unread mentions."""
        above = [
            entry
            for entry in self.entries[self.read[user] :]
            if not entry.thread_only and _is_unread(entry, user, ignored)
        ]
        return len(above), sum(user in entry.mentions for entry in above)

    def expire(self, up_to: int) -> None:
        """Remove the texts of all lines up to a seq, and those of their changes."""
        self.expired = up_to
        for entry in self.entries[:up_to]:
            entry.reason = None
            if entry.kind == "message" and not entry.is_erased:
                self._delete(entry, [each for each in self.entries if each.target == entry.seq])
            elif entry.kind == "topic":
                entry.topic, entry.is_erased = None, True

    def _delete(self, target: Entry, about: Iterable[Entry]) -> None:
        for other in (target, *(each for each in about if each.kind in ("edit", "react"))):
            other.erase()
        target.reactions.clear()
        target.is_pinned = False

    def _fold(self, entry: Entry, target: Entry, about: Iterable[Entry]) -> None:
        if entry.kind == "edit":
            target.text, target.mentions, target.is_edited = entry.text, entry.mentions, True
            if target.thread is not None:
                self._follow_by(entry, target.seq)
            for other in about:
                if other.kind == "edit":
                    other.erase()
        elif entry.kind == "delete":
            self._delete(target, about)
        elif entry.kind == "pin":
            target.is_pinned = not entry.remove
        else:
            assert entry.emoji is not None
            names = target.reactions.setdefault(entry.emoji, [])
            if entry.remove:
                names.remove(entry.author)
            else:
                names.append(entry.author)
            if not names:
                del target.reactions[entry.emoji]


def _is_unread(entry: Entry, user: str, ignored: Collection[str]) -> bool:
    """Whether a message counts above a user's marker."""
    is_message = entry.kind == "message" and not entry.is_erased
    return is_message and entry.author not in (user, *ignored)


def mentioned_in(text: str, members: Iterable[str]) -> tuple[str, ...]:
    """Return the members whom `text` mentions, each once, in order of mention."""
    spelled = {name.lower(): name for name in members}
    named = [name.lower() for name in _NAME.findall(text)]
    return tuple(dict.fromkeys(spelled[name] for name in named if name in spelled))
