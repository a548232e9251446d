"""Frames: what a server sends. One class per `type`, one union of them all.

A client ignores fields and types that it does not know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, FailFast, Field

from chat.protocol.items import Event, Item
from chat.protocol.limits import LIST_MAX, USUAL_LEVEL
from chat.protocol.values import (
    CHANNELS_MAX,
    Channel,
    Cid,
    Count,
    Epoch,
    Flag,
    Id,
    Level,
    Limits,
    Line,
    Mid,
    Name,
    Passage,
    Pinned,
    Position,
    Presence,
    Role,
    Seconds,
    Seq,
    Text,
    Time,
    Token,
    Topic,
    Wire,
    at_most,
)

__all__ = [
    "Bye",
    "ChannelList",
    "ChannelListing",
    "ErrorFrame",
    "Heads",
    "Hit",
    "Joined",
    "Member",
    "Members",
    "Membership",
    "Ok",
    "Page",
    "Preferences",
    "PresenceFrame",
    "Read",
    "Results",
    "ServerFrame",
    "ServerInfo",
    "Tick",
    "TypingFrame",
    "Welcome",
]


def _is_empty(value: object) -> bool:
    return not value


class _Frame(Wire):
    """Fields of every frame of a server; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class ServerInfo(_Frame):
    """The server: a client keeps tokens, cache and outbox by its `id`, never by a URL."""

    id: Line
    name: Line
    version: Line


class Membership(_Frame):
    """A channel that the person is a member of, as `welcome` lists it."""

    channel: Channel
    epoch: Epoch
    head: Position
    role: Role
    topic: Topic
    read: Position
    unread: Count
    mentions: Count
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL


class Member(_Frame):
    """A member of a channel."""

    name: Name
    role: Role
    presence: Presence


class Welcome(_Frame):
    """The answer to `hello`. `token` is there once: when the name was claimed without one."""

    type: Literal["welcome"] = "welcome"
    id: Id | None = None
    v: Count
    user: Name
    token: Token | None = None
    session: Line
    server: ServerInfo
    limits: Limits
    heartbeat: Seconds
    """Seconds between two `heads` frames; silence of three times that means a lost connection."""
    channels: Annotated[tuple[Membership, ...], Field(max_length=CHANNELS_MAX), FailFast()]
    """Direct channels that are hidden, or above a bound and long without a message, are left out;
    an unasked `joined` comes with their next message."""
    features: Annotated[tuple[Line, ...], Field(max_length=100), FailFast()] = Field(
        default=(), exclude_if=_is_empty
    )
    """Features beyond the first version 1: `hidden` (a field of `prefer`)."""


class Ok(_Frame):
    """The command is done; for a send: committed to disk."""

    type: Literal["ok"] = "ok"
    id: Id | None = None
    seq: Seq | None = None
    mid: Mid | None = None
    ts: Time | None = None
    cid: Cid | None = None
    duplicate: Flag = False


class ErrorFrame(_Frame):
    """The command is refused, or the frame could not be understood; the connection lives."""

    type: Literal["error"] = "error"
    id: Id | None = None
    code: Line
    message: Passage
    retryable: bool
    retry_after: Seconds | None = None
    """Seconds."""
    field: Line | None = None
    channel: Channel | None = None
    """Without `id`: the channel that cannot be followed, of those that `hello` resumed."""


class Joined(_Frame):
    """The session follows the channel; unasked with the first message of a direct channel.

    `recovered`: `items` continue the position that was given, without a hole. Otherwise they are
    the newest page. `complete: false`: more is to be read with `history after`; until an answer
    says `complete: true` the session gets no events of this channel, only `heads`.

    Made in `Subscriptions._join` (`server/subscriptions.py`), and for built-in channels in
    `server/handlers/builtin.py`.
    """

    type: Literal["joined"] = "joined"
    id: Id | None = None
    channel: Channel
    epoch: Epoch
    head: Position
    topic: Topic
    role: Role
    read: Position
    unread: Count
    mentions: Count
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL
    pins: Annotated[tuple[Seq, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )
    """The messages that are pinned."""
    members: Annotated[tuple[Member, ...], Field(max_length=LIST_MAX), FailFast()]
    member_count: Count
    recovered: bool
    items: Annotated[tuple[Item, ...], Field(max_length=LIST_MAX), FailFast()]
    complete: bool


class Page(_Frame):
    """A page of a log, in the order of `seq`.

    `complete`: nothing is left in the direction that was read; with `history after`: everything
    up to `head` is here, and events follow from `head` + 1 on.
    """

    type: Literal["page"] = "page"
    id: Id | None = None
    channel: Channel
    epoch: Epoch
    items: Annotated[tuple[Item, ...], Field(max_length=LIST_MAX), FailFast()]
    complete: bool
    head: Position


class Hit(_Frame):
    """A message that was found, and a piece of its text.

    `marks` are the characters of the snippet that were looked for: from, to, from, to, …
    """

    channel: Channel
    seq: Seq
    ts: Time
    author: Name
    me: Flag = False
    snippet: Passage
    marks: Annotated[tuple[Count, ...], FailFast()] = Field(
        default=(), max_length=LIST_MAX, exclude_if=_is_empty
    )


class Results(_Frame):
    """The answer to `search`, newest first; unless it is `complete`, `cursor` asks for more.

    A long search is answered in parts: a page may hold fewer hits than asked for, even none.
    """

    type: Literal["results"] = "results"
    id: Id | None = None
    hits: Annotated[tuple[Hit, ...], Field(max_length=LIST_MAX), FailFast()]
    complete: bool
    cursor: (
        Annotated[dict[Channel, Seq], Field(max_length=CHANNELS_MAX), at_most(CHANNELS_MAX)] | None
    ) = None


class ChannelListing(_Frame):
    """A public channel, as the directory lists it."""

    channel: Channel
    topic: Topic
    members: Count


class ChannelList(_Frame):
    """The answer to `channels`; `cursor` asks for the next page."""

    type: Literal["channels"] = "channels"
    id: Id | None = None
    channels: Annotated[tuple[ChannelListing, ...], Field(max_length=CHANNELS_MAX), FailFast()]
    cursor: Line | None = None


class Members(_Frame):
    """The answer to `who`; `cursor` asks for the next page."""

    type: Literal["members"] = "members"
    id: Id | None = None
    channel: Channel
    members: Annotated[tuple[Member, ...], Field(max_length=LIST_MAX), FailFast()]
    cursor: Line | None = None


class Tick(_Frame):
    """A line of `#counter` or `#echo`: it has no seq, and nothing keeps it."""

    type: Literal["tick"] = "tick"
    channel: Channel
    text: Text


class PresenceFrame(_Frame):
    """Presence in a channel: with `snapshot` everybody who is not offline, else the changes."""

    type: Literal["presence"] = "presence"
    channel: Channel
    version: Count
    snapshot: Flag = False
    users: Annotated[dict[Name, Presence], Field(max_length=LIST_MAX), at_most(LIST_MAX)]


class TypingFrame(_Frame):
    """Everybody who types in the channel now (a few at most); an empty list: nobody."""

    type: Literal["typing"] = "typing"
    channel: Channel
    version: Count
    users: Annotated[tuple[Name, ...], Field(max_length=LIST_MAX), FailFast()]


class Read(_Frame):
    """One's own read marker, moved by any of one's devices; `version` is its seq.

    The counts are as of `head`: events above it may be under way, or have come before this.
    """

    type: Literal["read"] = "read"
    channel: Channel
    version: Count
    seq: Position
    unread: Count
    mentions: Count
    head: Position = 0


class Preferences(_Frame):
    """A person's preferences of a channel, changed by any of their devices: all fields.

    `hidden`: the direct channel is not followed any more; a `joined` comes with its next message.
    """

    type: Literal["preferences"] = "preferences"
    channel: Channel
    pinned: Pinned = 0
    muted: Flag = False
    level: Level = USUAL_LEVEL
    hidden: Flag = False


class Heads(_Frame):
    """The last seq of one's channels, with every heartbeat: reveals a lost last event."""

    type: Literal["heads"] = "heads"
    heads: Annotated[dict[Channel, Position], Field(max_length=CHANNELS_MAX), at_most(CHANNELS_MAX)]


class Bye(_Frame):
    """The server is going away; come back at a random moment within `reconnect` seconds."""

    type: Literal["bye"] = "bye"
    reason: Line
    reconnect: Seconds


ServerFrame = Annotated[
    Welcome
    | Ok
    | ErrorFrame
    | Event
    | Joined
    | Page
    | Results
    | ChannelList
    | Members
    | Tick
    | PresenceFrame
    | TypingFrame
    | Read
    | Preferences
    | Heads
    | Bye,
    Field(discriminator="type"),
]
"""Any frame of a server."""
