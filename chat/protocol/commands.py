"""Commands: the frames of a client. One class per `type`, and a union of all.

Every command may have an `id`, which the answer repeats. Defaults keep commands short enough to
type by hand.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from chat.protocol.frames import ChannelList, Joined, Members, Ok, Page, Results, Welcome
from chat.protocol.values import (
    Channel,
    Cid,
    Emoji,
    Epoch,
    Flag,
    Id,
    Limits,
    Line,
    Mid,
    Moment,
    Name,
    Place,
    Position,
    Seq,
    Status,
    Text,
    Token,
    Topic,
    Wire,
)

__all__ = [
    "AnsweredBy",
    "BaseCommand",
    "Channels",
    "Command",
    "Delete",
    "Edit",
    "Hello",
    "History",
    "Join",
    "Leave",
    "Mark",
    "Pin",
    "Ping",
    "Prefer",
    "React",
    "ResumeFrom",
    "Search",
    "Send",
    "SetStatus",
    "SetTopic",
    "Typing",
    "Who",
    "positions_max",
]


class ResumeFrom(Wire):
    """A client's position in a log: all events up to `after` are applied.

    `mid` is the id of the event at `after`: it detects a database that was restored by hand.
    """

    epoch: Epoch
    after: Position
    mid: Mid | None = None


POSITIONS_MAX = 500
"""Positions in one `hello` that every server accepts."""


def positions_max(limits: Limits) -> int:
    """Return the most channels that `welcome` lists and that a command may name.

    These are `limits.channels` joined channels and the same number of direct channels.
    """
    return max(2 * limits.channels, POSITIONS_MAX)


def _few(value: object, info: ValidationInfo) -> object:
    """Refuse too many positions before validating them."""
    limits: Limits | None = info.context
    most = positions_max(limits) if limits else 0
    if limits and isinstance(value, dict) and len(value) > most:
        raise PydanticCustomError(
            "too_long",
            "names {count} channels; at most {most} are allowed",
            {"count": f"{len(value):,}", "most": f"{most:,}"},
        )
    return value


Positions = Annotated[dict[Channel, ResumeFrom], BeforeValidator(_few)]
"""Positions by channel; at most as many as `welcome` lists."""


Numbers = Annotated[dict[Channel, Seq], BeforeValidator(_few)]
"""Seqs by channel; at most as many as `welcome` lists."""


_T = TypeVar("_T")
ClassOf: TypeAlias = type[_T]
"""`type[...]`, for classes with a field named `type`."""
Answer = TypeVar("Answer", covariant=True)


class AnsweredBy(Protocol[Answer]):
    """A command whose answer, unless it is refused, is a frame of type `Answer`."""

    @property
    def answer(self) -> type[Answer]:
        """The class of the answer."""


class BaseCommand(Wire):
    """Fields of every command."""

    id: Id | None = None


class _OkCommand(BaseCommand):
    answer: ClassVar[ClassOf[Ok]] = Ok


class Hello(BaseCommand):
    """Sign in; the first command, within 10 seconds. Claims `name` if it is free."""

    answer: ClassVar[ClassOf[Welcome]] = Welcome
    type: Literal["hello"] = "hello"
    v: int
    name: Name
    token: Token | None = None
    client: Line | None = None
    resume: Positions | None = None
    """Positions in joined channels; a `joined` for each follows `welcome`."""


class Join(BaseCommand):
    """Join a channel, create it if it does not exist, and follow its log from `resume` on."""

    answer: ClassVar[ClassOf[Joined]] = Joined
    type: Literal["join"] = "join"
    channel: Channel
    resume: ResumeFrom | None = None


class Leave(_OkCommand):
    """Leave a channel."""

    type: Literal["leave"] = "leave"
    channel: Channel


class Send(_OkCommand):
    """Append a message; with `me` it is an action (`/me waves`)."""

    type: Literal["send"] = "send"
    channel: Channel
    text: Text
    cid: Cid | None = None
    reply_to: Seq | None = None
    me: Flag = False


class Edit(_OkCommand):
    """Replace the text of the user's own message `seq`."""

    type: Literal["edit"] = "edit"
    channel: Channel
    seq: Seq
    text: Text
    cid: Cid | None = None


class Delete(_OkCommand):
    """Delete a message; allowed for its author and owners of the channel."""

    type: Literal["delete"] = "delete"
    channel: Channel
    seq: Seq
    cid: Cid | None = None


class React(_OkCommand):
    """Add a reaction to message `seq`, or `remove` it."""

    type: Literal["react"] = "react"
    channel: Channel
    seq: Seq
    emoji: Emoji
    remove: Flag = False
    cid: Cid | None = None


class Pin(_OkCommand):
    """Pin message `seq` in its channel for everybody, or `remove` its pin."""

    type: Literal["pin"] = "pin"
    channel: Channel
    seq: Seq
    remove: Flag = False
    cid: Cid | None = None


class History(BaseCommand):
    """Read a page: the newest, or what lies `before`, `after` or `around` a seq.

    `after` reads events of every kind without gaps, for following. The others read the
    lines of a timeline: edits, deletions, reactions and pins are folded into their messages.

    `thread`, the seq of any message in a thread, limits the page to the root of the thread and all
    direct and indirect replies; `after` then reads these lines forward. `pins` limits the page to
    pinned messages: the newest ones, or those `before` a seq.
    """

    answer: ClassVar[ClassOf[Page]] = Page
    type: Literal["history"] = "history"
    channel: Channel
    before: Seq | None = None
    after: Position | None = None
    around: Seq | None = None
    thread: Seq | None = None
    pins: Flag = False
    limit: int = Field(50, ge=1, le=1_000)

    @model_validator(mode="after")
    def _one_anchor(self) -> History:
        if sum(anchor is not None for anchor in (self.before, self.after, self.around)) > 1:
            raise ValueError("use only one of before, after and around")
        if self.pins and {self.after, self.around, self.thread} != {None}:
            raise ValueError("pins can only be combined with before")
        return self


class Search(BaseCommand):
    """Find messages in one channel or in all of the user's channels, newest first.

    `query` consists of words, "phrases in quotes", and prefix* with at least three letters; a
    message must match all of them. Case, accents, points and compatibility forms are ignored, and
    each Chinese, Japanese or Korean character is a word. `before` and `after` (inclusive) are
    milliseconds since 1970 UTC. Without a word, `from` or `has` is needed. `cursor` comes from
    the previous page.
    """

    answer: ClassVar[ClassOf[Results]] = Results
    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    type: Literal["search"] = "search"
    query: Line = ""
    channel: Channel | None = None
    author: Name | None = Field(None, alias="from")
    before: Moment | None = None
    after: Moment | None = None
    has: Literal["link"] | None = None
    limit: int = Field(20, ge=1, le=1_000)
    cursor: Numbers | None = None


class Mark(_OkCommand):
    """Move the user's read marker forward to `seq`."""

    type: Literal["mark"] = "mark"
    channel: Channel
    seq: Seq


class Prefer(_OkCommand):
    """Set the user's preferences for a channel; omitted fields remain unchanged.

    `pinned` is the position among the user's starred channels: smaller numbers come first, equal
    ones by name; 0 removes the star. `muted` limits notifications to mentions. `level` is the
    notification level. `hidden` removes a direct channel from the user's list until its next
    message; `join` restores it.
    """

    type: Literal["prefer"] = "prefer"
    channel: Channel
    pinned: Place | None = None
    muted: bool | None = None
    level: Literal["all", "mentions", "none"] | None = None
    hidden: bool | None = None


class Typing(_OkCommand):
    """Show the user as typing; it expires by itself."""

    type: Literal["typing"] = "typing"
    channel: Channel
    state: Literal["start", "stop"] = "start"


class SetStatus(_OkCommand):
    """Set the user's presence: online, away or busy."""

    type: Literal["status"] = "status"
    status: Status = "online"


class Channels(BaseCommand):
    """List a page of the public channels by name, after `cursor`."""

    answer: ClassVar[ClassOf[ChannelList]] = ChannelList
    type: Literal["channels"] = "channels"
    cursor: Line | None = None


class Who(BaseCommand):
    """List a page of a channel's members by name, after `cursor`."""

    answer: ClassVar[ClassOf[Members]] = Members
    type: Literal["who"] = "who"
    channel: Channel
    cursor: Line | None = None


class SetTopic(_OkCommand):
    """Set the channel's topic; an empty one removes it."""

    type: Literal["topic"] = "topic"
    channel: Channel
    topic: Topic


class Ping(_OkCommand):
    """Ask for an `ok`."""

    type: Literal["ping"] = "ping"


Command = Annotated[
    Hello
    | Join
    | Leave
    | Send
    | Edit
    | Delete
    | React
    | Pin
    | History
    | Search
    | Mark
    | Prefer
    | Typing
    | SetStatus
    | Channels
    | Who
    | SetTopic
    | Ping,
    Field(discriminator="type"),
]
"""Any command."""
