"""Updates from the core to the interface, and the values in them. Pure.

`Message`, `ChannelInfo` and the updates below are what the core hands to the screens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chat.protocol.limits import USUAL_LEVEL
from chat.text import GENERAL, fold, is_direct

__all__ = [
    "LAST_CHANNEL",
    "SERVER_NAME",
    "ChannelChanged",
    "ChannelInfo",
    "ChannelRemoved",
    "ChannelsChanged",
    "ConnectionChanged",
    "Delivery",
    "Link",
    "MembersChanged",
    "Message",
    "Notice",
    "NotificationDue",
    "SavedChanged",
    "ThreadChanged",
    "TimelineChanged",
    "TypingChanged",
    "Update",
    "counted_reactions",
    "is_for",
    "listing_order",
]


LAST_CHANNEL = "last-channel"
"""The preference that names the channel which was shown last: the client begins with it."""


SERVER_NAME = "server"
"""The preference that holds how the server calls itself, once it was met."""


class Delivery(StrEnum):
    """Delivery state of an own message."""

    SENT = "sent"  # the server has confirmed it: it is in the log
    PENDING = "pending"  # in the outbox on disk, not confirmed yet
    FAILED = "failed"  # the server refused it for good; `reason` says why; retry or discard


class Link(StrEnum):
    """The state of the connection."""

    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"  # backing off before the next attempt
    REFUSED = "refused"  # the server said: do not come back (bad token, banned, version)
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Message:
    """A line of a timeline: a message, or another event that shows (topic, join, leave, role).

    Args:
        channel: the log it belongs to.
        seq: its number; None while it waits in the outbox, and for ticks.
        cid: the client's id of the send; identifies a pending one.
        author: who; a name as the server spells it.
        ts: milliseconds since 1970 UTC (for a pending one: when it was typed).
        kind: `message`, `topic`, `join`, `leave`, `role`, or `tick`.
        text: the message's text; the topic; the new role. Not yet made harmless for a terminal.
        thread: the root of the thread that it is in, once the server has said so; None for a root.
        reactions: emoji with the names of those who reacted, oldest emoji first; of many people
            the first are named, and oneself.
        reaction_counts: emoji with the number of people, where not all of them are named.
        rev: last seq folded into it.
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
    user: str | None = None
    edited: bool = False
    pinned: bool = False
    deleted: bool = False
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    reaction_counts: tuple[tuple[str, int], ...] = ()
    rev: int = 0
    delivery: Delivery = Delivery.SENT
    reason: str = ""


def counted_reactions(message: Message) -> list[tuple[str, tuple[str, ...], int]]:
    """Return each emoji on a message, the people who are named, and how many there are."""
    counts = dict(message.reaction_counts)
    return [
        (emoji, names, max(len(names), counts.get(emoji, 0))) for emoji, names in message.reactions
    ]


def is_for(message: Message, user: str) -> bool:
    """Whether a message of somebody else mentions `user`."""
    me = fold(user)
    return (
        message.kind == "message"
        and not message.deleted
        and fold(message.author) != me
        and any(fold(name) == me for name in message.mentions)
    )


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """A channel as the sidebar and the header show it.

    `direct` are the other participants of a direct channel (empty for `#name`).
    `failed` counts the texts in it that the server refused. `pinned`, `muted` and `level` are how
    one wants it; see `protocol.commands.Prefer`. `pins` counts the messages pinned in it.
    `has_draft` also tells of a draft in one of its threads. Without `is_member` it is listed for
    its unsent messages or drafts, or because no server was met yet.
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


def listing_order(name: str, pinned: int) -> tuple[bool, int, bool, bool, str]:
    """Return the sort key of a channel: starred ones, #general, other channels, direct ones."""
    return not pinned, pinned, is_direct(name), name != GENERAL, fold(name)


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection's state changed.

    `detail` is for a person, `retry_in` is in seconds, `text_limit` is the most characters of one
    message that the server takes (0: no server has said yet). With `is_name_taken` the server
    refuses `user`, which belongs to somebody else: `Core.rename` signs in with another name.
    """

    link: Link
    detail: str = ""
    retry_in: float | None = None
    user: str = ""
    server: str = ""
    text_limit: int = 0
    is_name_taken: bool = False


@dataclass(frozen=True, slots=True)
class ChannelsChanged:
    """All listed channels, in no order; this list replaces the known one."""

    channels: tuple[ChannelInfo, ...]


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """A channel was listed for the first time, or it changed."""

    info: ChannelInfo


@dataclass(frozen=True, slots=True)
class ChannelRemoved:
    """A channel is not listed any more."""

    channel: str


@dataclass(frozen=True, slots=True)
class TimelineChanged:
    """Lines of one channel that are new or changed.

    Args:
        upserts: in timeline order; each replaces the line of the same seq or, if it has none or
            stood without one before, of the same cid.
        removed: cids of pending lines that are gone (discarded).
        reset: forget everything loaded for this channel first.
        gap_before: seqs before which lines are missing and can be asked for; None: unchanged.
        complete: whether the first line of the log is loaded; None: unchanged.
        missed: whether some of the lines were read later than they happened.
    """

    channel: str
    upserts: tuple[Message, ...] = ()
    removed: tuple[str, ...] = ()
    reset: bool = False
    gap_before: tuple[int, ...] | None = None
    complete: bool | None = None
    missed: bool = False


@dataclass(frozen=True, slots=True)
class ThreadChanged:
    """Lines of the thread that is shown are new or changed.

    `asked` is the message by which it was opened, `root` its first one, as far as that is known;
    `change` says how, as for a channel: what it calls complete is that the root is loaded.
    """

    channel: str
    asked: int
    root: int
    change: TimelineChanged
    is_none: bool = False
    """Whether there is no such message, and nothing more to come."""


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Members of a channel: name, role, presence (`online`, `away`, `busy`, `offline`)."""

    channel: str
    members: tuple[tuple[str, str, str], ...]
    total: int


@dataclass(frozen=True, slots=True)
class TypingChanged:
    """Others who type in the channel now."""

    channel: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should read: `severity` is `information`, `warning` or `error`."""

    text: str
    severity: str = "information"


@dataclass(frozen=True, slots=True)
class NotificationDue:
    """A message that notifies `user` by their rules; `thread` is the root of its thread."""

    channel: str
    author: str
    text: str
    user: str = ""
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class SavedChanged:
    """All drafts and preferences that are kept; `Core` takes it, and passes it on to nobody.

    `saves` is the number of the last save of the interface that it includes.
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
    | Notice
)
