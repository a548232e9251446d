"""Updates from the core to the interface, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chat.client.model.membership import FollowedThread, Invitation, Mute, rights_in
from chat.client.model.sign_in import SignInWay
from chat.protocol.limits import USUAL_LEVEL
from chat.rights import DEFAULT, ChannelSettings, Right
from chat.text import GENERAL, fold, is_direct

__all__ = [
    "FEATURES",
    "LAST_CHANNEL",
    "SERVER_NAME",
    "ChannelChanged",
    "ChannelInfo",
    "ChannelRemoved",
    "ChannelsChanged",
    "ConnectionChanged",
    "Delivery",
    "DeviceAdded",
    "IgnoredChanged",
    "InvitationsChanged",
    "Link",
    "MembersChanged",
    "MembershipEnded",
    "Message",
    "Moderation",
    "Notice",
    "NotificationDue",
    "Reaction",
    "SavedChanged",
    "ThreadChanged",
    "TimelineChanged",
    "TypingChanged",
    "Update",
    "is_for",
    "listing_order",
]


LAST_CHANNEL = "last-channel"
"""The preference that stores the channel shown last; the client starts with it."""


FEATURES = "features"
"""The preference that stores the features of the server, separated by spaces."""
SERVER_NAME = "server"
"""The preference that stores the server's display name after the first connection."""


class Delivery(StrEnum):
    """Delivery state of the user's own message."""

    SENT = "sent"  # confirmed by the server
    PENDING = "pending"  # in the outbox on disk, not confirmed yet
    FAILED = "failed"  # rejected; `reason` says why; the user can retry or discard it


class Link(StrEnum):
    """State of the connection."""

    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"  # backing off before the next attempt
    REFUSED = "refused"  # rejected permanently (bad token, banned, version)
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Moderation:
    """The details of a kick, a ban, a mute or a new role.

    `act` is `kick`, `ban`, `mute`, `lifted` (the end of a ban or a mute) or `role`; `until` is in
    milliseconds since 1970, None: until it is lifted. `user` is the user that it is about; it is
    empty for a `leave`, whose author that is.
    """

    act: str
    by: str = ""
    until: int | None = None
    reason: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji on a message, and the people who reacted with it.

    `names` are the first of them, and the user; `unnamed` is the number of all others.
    """

    emoji: str
    names: tuple[str, ...]
    unnamed: int = 0

    @property
    def count(self) -> int:
        """Number of people who reacted."""
        return len(self.names) + self.unnamed


@dataclass(frozen=True, slots=True)
class Message:
    """A timeline line: a message, or another shown event (see `fold.SHOWN_KINDS`).

    Args:
        channel: the channel's name.
        seq: the log's sequence number; None in the outbox, and for ticks.
        cid: the client's id of the send; identifies a pending line.
        author: the author's name as the server spells it.
        ts: milliseconds since 1970 UTC (of a pending line: when it was typed).
        kind: `message`, `topic`, `join`, `leave`, `role`, `settings`, `ban`, `mute`, or `tick`.
        text: the message's text, the topic, the new role, or the changed settings as JSON; not
            escaped for a terminal.
        thread: the root of its thread, once the server has sent it; None for a root.
        thread_only: whether the reply belongs to its thread, not to the channel's timeline.
        moderation: the details of a kick, a ban, a mute or a new role.
        reactions: one per emoji, oldest first.
        rev: seq of the last change folded into the line.
    """

    channel: str
    seq: int | None
    cid: str | None
    author: str
    ts: int
    kind: str = "message"
    text: str = ""
    me: bool = False
    reply_to: int | None = None
    thread: int | None = None
    mentions: tuple[str, ...] = ()
    edited: bool = False
    pinned: bool = False
    deleted: bool = False
    reactions: tuple[Reaction, ...] = ()
    rev: int = 0
    delivery: Delivery = Delivery.SENT
    reason: str = ""
    thread_only: bool = False
    moderation: Moderation | None = None

    @property
    def is_in_channel(self) -> bool:
        """Whether the channel's timeline shows the line; it also shows what was rejected."""
        return not self.thread_only or self.delivery is Delivery.FAILED

    @property
    def is_passage(self) -> bool:
        """Whether the line is a join, or a leave of the member's own accord: no kick and no ban."""
        return self.moderation is None and self.kind in ("join", "leave")


def is_for(message: Message, user: str) -> bool:
    """Whether a message by another user mentions `user`."""
    me = fold(user)
    return (
        message.kind == "message"
        and not message.deleted
        and fold(message.author) != me
        and any(fold(name) == me for name in message.mentions)
    )


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A channel's entry in the sidebar and the header.

    `direct` holds the other participants of a direct channel (empty for `#name`). `failed` counts
    rejected messages. `pinned`, `muted` and `level` are the user's preferences, see
    `protocol.commands.Prefer`. `pins` counts pinned messages. `has_draft` includes drafts in
    threads. Without `is_member`, the channel is listed because it has unsent messages or drafts,
    or because the client has never connected. `threads` are the followed threads with unread
    replies, newest first; `unread` and `mentions` do not include them. `followed` are the roots
    of all threads that the user is known to follow.
    """

    name: str
    topic: str = ""
    role: str = "member"
    head: int = 0
    read: int = 0
    unread: int = 0
    mentions: int = 0
    direct: tuple[str, ...] = ()
    has_draft: bool = False
    failed: int = 0
    builtin: bool = False
    pinned: int = 0
    muted: bool = False
    level: str = USUAL_LEVEL
    pins: int = 0
    is_member: bool = True
    settings: ChannelSettings = DEFAULT
    mute: Mute | None = None
    threads: tuple[FollowedThread, ...] = ()
    followed: frozenset[int] = frozenset()

    def rights(self, now: int) -> frozenset[Right]:
        """Return what the user may do at the time `now`, in milliseconds: a mute may have ended."""
        return rights_in(self.name, self.role, self.settings, self.mute, now)

    @property
    def unread_replies(self) -> int:
        """Number of unread replies in followed threads."""
        return sum(thread.unread for thread in self.threads)


def listing_order(name: str, pinned: int) -> tuple[bool, int, bool, bool, str]:
    """Return the sort key of a channel: starred, then #general, other channels, direct channels."""
    return not pinned, pinned, is_direct(name), name != GENERAL, fold(name)


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection's state changed.

    `detail` is text for the user, `retry_in` is in seconds, `text_limit` is the server's maximum
    message length in characters (0: unknown). `ways` are what `Core.sign_in` can try after a
    refused sign-in, and `reason` says why it was refused, without the advice for the command line
    that `detail` has. `role` is the user's role on the server; `has_accounts` means that the server
    knows devices, invitations and bans, `has_rooms` that it knows roles and moderation in channels.
    """

    link: Link
    detail: str = ""
    retry_in: float | None = None
    user: str = ""
    server: str = ""
    text_limit: int = 0
    ways: tuple[SignInWay, ...] = ()
    reason: str = ""
    role: str = "member"
    has_accounts: bool = False
    has_rooms: bool = False


@dataclass(frozen=True, slots=True)
class ChannelsChanged:
    """All listed channels, unordered; replaces the previous list."""

    channels: tuple[ChannelInfo, ...]


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """A channel was added to the list, or its entry changed."""

    info: ChannelInfo


@dataclass(frozen=True, slots=True)
class ChannelRemoved:
    """A channel was removed from the list."""

    channel: str


@dataclass(frozen=True, slots=True)
class TimelineChanged:
    """New or changed lines of one channel.

    Args:
        upserts: in timeline order; each replaces the line with the same seq, or with the same cid
            if the line has no seq or had none before.
        removed: cids of removed pending lines.
        reset: whether to drop all loaded lines of this channel first.
        gap_before: seqs with missing lines before them; None: unchanged.
        complete: whether the first line of the log is loaded; None: unchanged.
        missed: whether some lines arrived later than they were sent.
        replies: new or changed replies that are only in their threads; a channel's log only counts
            them.
        waiting: seqs of those `replies` that the user has not read, in threads that they follow.
        expired: the texts of all messages up to this seq were erased.
    """

    channel: str
    upserts: tuple[Message, ...] = ()
    removed: tuple[str, ...] = ()
    reset: bool = False
    gap_before: tuple[int, ...] | None = None
    complete: bool | None = None
    missed: bool = False
    replies: tuple[Message, ...] = ()
    waiting: frozenset[int] = frozenset()
    expired: int = 0


@dataclass(frozen=True, slots=True)
class ThreadChanged:
    """New or changed lines of the open thread.

    `asked` is the message that the thread was opened from, `root` its root as far as it is known.
    `change` is like a channel's; its `complete` means that the root is loaded.
    """

    channel: str
    asked: int
    root: int
    change: TimelineChanged
    is_missing: bool = False
    """Whether the message does not exist; no further updates follow."""


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Members of a channel: name, role, presence (`online`, `away`, `busy`, `offline`).

    `muted` are the names of those whom a moderator muted.
    """

    channel: str
    members: tuple[tuple[str, str, str], ...]
    total: int
    muted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TypingChanged:
    """The other users typing in the channel."""

    channel: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A text for the user; `severity` is `information`, `warning` or `error`."""

    text: str
    severity: str = "information"


@dataclass(frozen=True, slots=True)
class DeviceAdded:
    """Another device signed in to the user's account."""


@dataclass(frozen=True, slots=True)
class InvitationsChanged:
    """The user's open invitations to channels, newest first; replaces the previous list.

    `new` is the one that has just arrived.
    """

    invitations: tuple[Invitation, ...]
    new: Invitation | None = None


@dataclass(frozen=True, slots=True)
class IgnoredChanged:
    """The users whom the user ignores; replaces the previous list."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MembershipEnded:
    """Someone else ended the user's membership of a channel: `act` is `kick`, `ban` or `deleted`.

    `until` is in milliseconds since 1970; None: until the ban is lifted.
    """

    channel: str
    act: str
    by: str = ""
    until: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotificationDue:
    """A message that notifies `user`; `thread` is the root of its thread.

    With `thread_only`, the channel's timeline does not show it.
    """

    channel: str
    author: str
    text: str
    user: str = ""
    thread: int | None = None
    thread_only: bool = False


@dataclass(frozen=True, slots=True)
class SavedChanged:
    """All stored drafts and preferences; `Core` consumes it.

    `saves` is the number of the interface's last save that it includes.
    """

    drafts: Mapping[str, str]
    prefs: Mapping[str, str]
    saves: int = 0


Update = (
    NotificationDue
    | SavedChanged
    | ConnectionChanged
    | ChannelsChanged
    | ChannelChanged
    | ChannelRemoved
    | TimelineChanged
    | ThreadChanged
    | MembersChanged
    | TypingChanged
    | DeviceAdded
    | InvitationsChanged
    | IgnoredChanged
    | MembershipEnded
    | Notice
)
