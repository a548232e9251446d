"""Items: entries of a channel's log.

An `event` frame contains an event as it happened. An `Item` contains its *current* state: a message
has its latest text, its reactions and `rev`, the seq of its latest change; a body erased by an edit
or a deletion is absent, and `erased` is set.
"""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

from typing import Annotated, Literal, NotRequired, TypedDict

from pydantic import ConfigDict, FailFast, Field, SerializeAsAny

from chat.protocol.limits import LIST_MAX
from chat.protocol.values import (
    Channel,
    ChannelSettings,
    Cid,
    Emoji,
    Flag,
    Line,
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

__all__ = ["Event", "EventFields", "Item", "ItemFields", "Items", "Kind"]

Kind = Annotated[
    Literal[
        "message",
        "edit",
        "delete",
        "react",
        "pin",
        "topic",
        "join",
        "leave",
        "role",
        "erased_user",
        "settings",
        "ban",
        "mute",
        "expire",
        "deleted",
    ]
    | Word,
    Field(union_mode="left_to_right"),
]
"""The kind of an event; other values are allowed, so that older clients count new kinds."""


def _is_empty(value: object) -> bool:
    return not value


class _Body(Wire):
    """The fields of all kinds; `kind` determines which are set.

    - message: `text`, `me`, `reply_to`, `thread`, `mentions`
    - edit: `target`, `text`, `mentions`
    - delete: `target`
    - react: `target`, `emoji`, `remove`
    - pin: `target`, `remove`
    - topic: `topic`
    - join: nothing; `author` is the user
    - leave: nothing; `author` is the user. If someone else ended the membership: `by`, `act`
      (`kick` or `ban`), `reason`, `until`
    - erased_user: nothing; `author` is the name that remains
    - role: `user`, `role`; `author` is the user themselves if an ownership passed on
    - settings: `settings`, all of them, and the names of those that `changed`
    - ban: `user`, `reason`, `until`: a ban of someone who is no member; with `remove`, its end
    - mute: `user`, `reason`, `until`; with `remove`, its end
    - expire: `up_to`: the texts of all messages, topics and reasons up to this seq are erased
    - deleted: nothing; the last event of a channel that was deleted
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
    """The root of a reply's thread, for direct and indirect replies."""
    mentions: Names = Field(default=(), exclude_if=_is_empty)
    """Mentioned members: those named in the text, and the author of the message it replies to."""
    target: Seq | None = None
    emoji: Emoji | None = None
    remove: Flag = False
    topic: Topic | None = None
    user: Name | None = None
    role: Role | None = None
    erased: Flag = False
    cid: Cid | None = None
    thread_only: Flag = False
    """A reply that belongs to its thread, and not to the timeline of the channel."""
    by: Name | None = None
    act: Word | None = None
    reason: Line | None = None
    until: Time | None = None
    settings: ChannelSettings | None = None
    changed: tuple[Word, ...] = Field(default=(), max_length=20, exclude_if=_is_empty)
    up_to: Seq | None = None


class Item(_Body):
    """An entry of a page."""

    rev: Seq
    """Events up to this seq are already in the item."""
    edited: Flag = False
    pinned: Flag = False
    reactions: Reactions = Field(default_factory=dict, exclude_if=_is_empty)
    """Emoji with the first users who reacted, and the reading user if they did."""
    reaction_counts: ReactionCounts = Field(default_factory=dict, exclude_if=_is_empty)
    """Number of reactions for emoji with more users than `reactions` lists."""


Items = Annotated[tuple[Item, ...], Field(max_length=LIST_MAX), FailFast(), SerializeAsAny()]
"""Items of a page. The server creates its pages with `known` from `ItemFields`."""


class _EventHead(Wire):
    """The first fields of an event frame (a base listed last gives its fields first)."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    type: Literal["event"] = "event"
    channel: Channel


class Event(_Body, _EventHead):
    """An event as it is delivered live: the same bytes for every recipient."""


class _Start(TypedDict):
    seq: int
    mid: str
    ts: int
    author: str
    kind: str


class _Fields(_Start, total=False):
    text: str
    me: bool
    reply_to: int
    thread: int
    mentions: tuple[str, ...]
    target: int
    emoji: str
    remove: bool
    topic: str
    cid: str
    thread_only: bool
    user: str
    role: str
    by: str
    act: str
    reason: str
    until: int
    settings: dict[str, str | bool | int]
    changed: tuple[str, ...]
    up_to: int


class EventFields(_Fields):
    """The fields of an `Event` that are not empty, for `codec.encode_fields`."""

    type: Literal["event"]
    channel: str


class ItemFields(_Fields):
    """The fields of an `Item` that are not empty.

    To create and encode an item takes 1.1 µs, with the model 5.2: half of a page.
    """

    rev: int
    erased: NotRequired[bool]
    edited: NotRequired[bool]
    pinned: NotRequired[bool]
    reactions: NotRequired[dict[str, tuple[str, ...]]]
    reaction_counts: NotRequired[dict[str, int]]
