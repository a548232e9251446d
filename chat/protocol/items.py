"""Items: entries of a channel's log as readers get them.

An `event` frame tells of one thing as it happened. An `Item` is an event as it is *now*: a message
carries its latest text, its reactions and `rev`, the last seq folded into it; a body that an edit
or a deletion has removed from the disk is absent and `erased` says so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chat.protocol.values import (
    Channel,
    Cid,
    Emoji,
    Flag,
    Mid,
    Name,
    Names,
    ReactionCounts,
    Reactions,
    Role,
    Seq,
    Text,
    Time,
    Topic,
    Wire,
    Word,
)

__all__ = ["Event", "Item", "Kind"]

Kind = Annotated[
    Literal["message", "edit", "delete", "react", "pin", "topic", "join", "leave", "role"] | Word,
    Field(union_mode="left_to_right"),
]
"""The kind of an event; open, so that an older client still counts an event it does not know."""


def _is_empty(value: object) -> bool:
    return not value


class _Body(Wire):
    """The fields of every kind; which of them are set depends on `kind`.

    - message: `text`, `me`, `reply_to`, `thread`, `mentions`
    - edit: `target`, `text`, `mentions`
    - delete: `target`
    - react: `target`, `emoji`, `remove`
    - pin: `target`, `remove`
    - topic: `topic`
    - join, leave: nothing; `author` is who it was
    - role: `user`, `role`
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    seq: Seq
    mid: Mid
    ts: Time
    """Milliseconds since 1970 UTC, by the server's clock; may go backwards, `seq` never does."""
    author: Name
    kind: Kind
    text: Text | None = None
    me: Flag = False
    reply_to: Seq | None = None
    thread: Seq | None = None
    """The first message of the thread that a reply is in, be it an answer to that or to a reply."""
    mentions: Names = Field(default=(), exclude_if=_is_empty)
    """Members whom the message is for: those whom its text names, and whose message it answers."""
    target: Seq | None = None
    emoji: Emoji | None = None
    remove: Flag = False
    topic: Topic | None = None
    user: Name | None = None
    role: Role | None = None
    erased: Flag = False
    cid: Cid | None = None


class Item(_Body):
    """An entry of a page."""

    rev: Seq
    """Events up to this seq are already in the item."""
    edited: Flag = False
    pinned: Flag = False
    reactions: Reactions = Field(default_factory=dict, exclude_if=_is_empty)
    """Emoji with the first people who reacted, and with the reader if they did."""
    reaction_counts: ReactionCounts = Field(default_factory=dict, exclude_if=_is_empty)
    """How many reacted, of emoji with more people than `reactions` names."""


class _EventHead(Wire):
    """The first fields of an event frame (a base listed last gives its fields first)."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    type: Literal["event"] = "event"
    channel: Channel


class Event(_Body, _EventHead):
    """An event as it is delivered live: the same bytes for every recipient."""
