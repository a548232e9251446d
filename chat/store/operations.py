"""Values that go into the store and come out of it: operations, their results, and read results.

An operation carries names as a person gave them. The store resolves them, checks the person's right
inside the transaction, and answers with the operation's result or with the reason why it failed.
The store makes no frames; the server does, of these values. `Event` and `Item` alone are the
protocol's: they are what a log holds, and a copy of their fifteen fields would say nothing more.

Operations and results are never changed after they are made. Those that each message needs are not
`frozen` all the same: a frozen one takes four times as long to make, 5 % of the cost of a message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from chat.errors import CommandError, StoreUnavailable
from chat.protocol.items import Event, Item

__all__ = [
    "Append",
    "AppendAbout",
    "Appended",
    "Batch",
    "ChannelOperation",
    "ChannelState",
    "Commit",
    "DeleteMessage",
    "EditMessage",
    "Failure",
    "JoinChannel",
    "LeaveChannel",
    "MarkRead",
    "Marked",
    "MemberPage",
    "MemberRow",
    "Membership",
    "Operation",
    "PageRead",
    "Pending",
    "PinMessage",
    "Prefer",
    "Preference",
    "Preferred",
    "PublicChannel",
    "Quota",
    "ReactToMessage",
    "Result",
    "Resumed",
    "SendMessage",
    "SetTopic",
    "SignIn",
    "SignedIn",
    "User",
]

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

Failure = CommandError | StoreUnavailable
"""Why an operation changed nothing: it was refused, or the database is not accepting writes."""


class Operation(Generic[Result_co]):
    """A change that the writer makes in one transaction; `Result_co` is the type of its result."""

    __slots__ = ()


class ChannelOperation(Operation[Result_co]):
    """An operation of `user` in `channel`, a name as the person gave it."""

    __slots__ = ()

    user: User
    channel: str


@dataclass(slots=True, eq=False)
class Pending(Generic[Result]):
    """An operation on its way through the writer, and what to call when it is committed.

    The writer sets `result` or `failure` and never calls back itself: whoever gets the commit calls
    `settle`, in a thread of their own.
    """

    operation: Operation[Result]
    done: Callable[[Result], None]
    failed: Callable[[Failure], None]
    result: Result = field(init=False)
    """Set when the commit is on disk, unless there is a `failure`."""
    failure: Failure | None = field(default=None, init=False)

    def settle(self) -> None:
        """Call `done` with the result, or `failed` with the failure."""
        if self.failure is None:
            self.done(self.result)
        else:
            self.failed(self.failure)


Batch = Sequence[Pending[Any]]
"""Operations of one commit, in order."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit put on disk: its events, and the operations that it decided, in order."""

    events: Sequence[Event]
    operations: Batch


@dataclass(frozen=True, slots=True)
class User:
    """A person: `id` is the store's, `name` is spelled as it was claimed."""

    id: int
    name: str


@dataclass(slots=True)
class ChannelState:
    """A channel as of one commit."""

    id: int
    name: str
    epoch: str
    head: int
    topic: str


@dataclass(frozen=True, slots=True)
class Preference:
    """A member's preferences for a channel; see `protocol.commands.Prefer`."""

    pinned: int
    muted: bool
    level: str


@dataclass(slots=True)
class Membership:
    """A person in a channel: its state, their role, and what they have not read."""

    channel: ChannelState
    role: str
    read: int
    unread: int
    mentions: int
    preference: Preference


@dataclass(frozen=True, slots=True)
class PageRead:
    """A page of a log, and the channel as of the same snapshot."""

    channel: ChannelState
    items: tuple[Item, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a returning follower missed; see `protocol.frames.Joined`."""

    membership: Membership
    pins: tuple[int, ...]
    recovered: bool
    items: tuple[Item, ...]
    complete: bool


class MemberRow(NamedTuple):
    """A member of a channel (a tuple, for a hundred come with every `joined`)."""

    name: str
    role: str


class MemberPage(NamedTuple):
    """Members by name, the cursor of the next page, and how many there are in all."""

    channel: str
    """The channel's name as it is stored, however it was asked for."""
    rows: tuple[MemberRow, ...]
    cursor: str | None
    total: int


class PublicChannel(NamedTuple):
    """A channel as the directory lists it; `members` are counted."""

    name: str
    topic: str
    members: int


Quota = Callable[[], float]
"""Called in the writer's thread: counts a new name and returns 0, or the seconds to wait for it."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`claimed`: the name is new.

    `memberships` are a new person's; None: those of a known one are to be read.
    """

    user: User
    claimed: bool
    memberships: tuple[Membership, ...] | None = None


@dataclass(frozen=True, slots=True)
class SignIn(Operation[SignedIn]):
    """Claim `name` with the hash of a token, or prove that it is one's own.

    `claim_hash` is stored if nobody has the name; `token_hash` (None: no token was given) must be
    one of the name's hashes otherwise. A new person becomes a member of `#general`. `quota` is
    asked before a name is claimed.
    """

    name: str
    token_hash: bytes | None
    claim_hash: bytes
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class JoinChannel(ChannelOperation[ChannelState]):
    """Become a member of `channel`; it is created if it does not exist. Idempotent."""

    user: User
    channel: str


@dataclass(frozen=True, slots=True)
class LeaveChannel(ChannelOperation[None]):
    """End the membership of `channel`."""

    user: User
    channel: str


@dataclass(slots=True)
class Appended:
    """Where the event is.

    `duplicate`: nothing was appended. The same `(user, cid)` was stored before, and the fields are
    those of the original; or the reaction or pin was there already (or, with `remove`, was not
    there), and they are None.
    """

    seq: int | None
    mid: str | None
    ts: int | None
    duplicate: bool = False


class Append(ChannelOperation[Appended]):
    """An operation that appends one event to the log; its texts have passed the protocol's models.

    `cid` is the client's id of the send: `(user, cid)` is stored once, for ever.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """Of the event."""
    cid: str | None

    @property
    def target(self) -> int | None:
        """The seq of the message that the event is about."""
        return None


class AppendAbout(Append):
    """An append about the message `seq`."""

    __slots__ = ()

    seq: int

    @property
    def target(self) -> int:
        """See `Append`."""
        return self.seq


@dataclass(slots=True)
class SendMessage(Append):
    """Append a message; the first one in a direct channel opens it."""

    kind: ClassVar[str] = "message"

    user: User
    channel: str
    text: str
    me: bool = False
    reply_to: int | None = None
    cid: str | None = None


@dataclass(slots=True)
class EditMessage(AppendAbout):
    """Replace the text of one's own message."""

    kind: ClassVar[str] = "edit"

    user: User
    channel: str
    seq: int
    text: str
    cid: str | None = None


@dataclass(slots=True)
class DeleteMessage(AppendAbout):
    """Erase a message: the text goes, the number stays."""

    kind: ClassVar[str] = "delete"

    user: User
    channel: str
    seq: int
    cid: str | None = None


@dataclass(slots=True)
class ReactToMessage(AppendAbout):
    """Add a reaction to a message, or remove one's own."""

    kind: ClassVar[str] = "react"

    user: User
    channel: str
    seq: int
    emoji: str
    remove: bool = False
    cid: str | None = None


@dataclass(slots=True)
class PinMessage(AppendAbout):
    """Pin a message, or unpin it."""

    kind: ClassVar[str] = "pin"

    user: User
    channel: str
    seq: int
    remove: bool = False
    cid: str | None = None


@dataclass(slots=True)
class SetTopic(Append):
    """Change the topic of the channel."""

    kind: ClassVar[str] = "topic"

    user: User
    channel: str
    topic: str
    cid: str | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """The marker after the commit; `moved` is false when it was there or further already."""

    channel: ChannelState
    read: int
    unread: int
    mentions: int
    moved: bool


@dataclass(frozen=True, slots=True)
class MarkRead(ChannelOperation[Marked]):
    """Move the person's read marker of `channel` forward to `seq`."""

    user: User
    channel: str
    seq: int


@dataclass(frozen=True, slots=True)
class Preferred:
    """The preferences after the commit; `changed` is false when they held before."""

    channel: ChannelState
    preference: Preference
    changed: bool
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Prefer(ChannelOperation[Preferred]):
    """Change the person's preferences for `channel`; None leaves a field as it is.

    `hidden` leaves a direct channel out of their list until its next message (False: shows it).
    """

    user: User
    channel: str
    pinned: int | None = None
    muted: bool | None = None
    level: str | None = None
    hidden: bool | None = None
