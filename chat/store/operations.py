"""Inputs and outputs of the store: operations, their results, and read results.

An operation carries names as the user typed them. The store resolves them, checks permissions
inside the transaction, and returns the operation's result or the reason for its failure. The server
converts results to frames. Only `EventFields` and `ItemFields` are shared with the protocol,
because they are the entries of a log.

Operations and results are not changed after construction. Operations, and the results used for each
message, are not `frozen` when the program runs: a frozen class takes twice as long to create, and a
frozen instance four times, 5 % of the cost of a message.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, dataclass_transform

from chat.errors import CommandError, StoreUnavailable
from chat.protocol.items import EventFields, ItemFields
from chat.rights import DEFAULT, ChannelSettings

__all__ = [
    "OPEN",
    "Append",
    "AppendAbout",
    "Appended",
    "AuditEntry",
    "Batch",
    "ChannelHead",
    "ChannelOperation",
    "ChannelPolicy",
    "ChannelState",
    "Commit",
    "DeleteMessage",
    "Delivered",
    "EditMessage",
    "Failure",
    "JobStep",
    "JoinChannel",
    "LeaveChannel",
    "MarkRead",
    "Marked",
    "MemberPage",
    "MemberRow",
    "Membership",
    "Muted",
    "Notice",
    "OpenInvitation",
    "Operation",
    "PageRead",
    "Pending",
    "PendingCall",
    "PinMessage",
    "Prefer",
    "Preference",
    "Preferred",
    "PublicChannel",
    "ReactToMessage",
    "Result",
    "Resumed",
    "RunNextJob",
    "SendMessage",
    "SetTopic",
    "ThreadState",
    "User",
    "operation",
]

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Kind = TypeVar("Kind", bound="Operation[Any]")

Failure = CommandError | StoreUnavailable
"""The reason for a failure: a refusal, or the database is not accepting writes."""


class Operation(Generic[Result_co]):
    """A change made in one transaction; `Result_co` is the type of its result."""

    __slots__ = ()

    is_shared: ClassVar[bool] = False
    """Whether its transaction usually changes only the log of its channel or rows of its user, so
    that other servers may commit at the same time; see `Transaction.claim`."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def operation(kind: type[Kind]) -> type[Kind]:
    """Make a dataclass of an operation; only the type checker prevents its changes."""
    return dataclass(slots=True)(kind)


class ChannelOperation(Operation[Result_co]):
    """An operation of `user` in `channel`, a name as typed."""

    __slots__ = ()

    user: User
    channel: str


class Pending(ABC, Generic[Result]):
    """A submitted operation, later with its outcome.

    The writer sets `result` or `failure`. The receiver of the commit calls `settle`, in its own
    thread.
    """

    __slots__ = ("failure", "operation", "result")

    result: Result
    """Set when the commit is on disk, unless `failure` is set."""

    def __init__(self, operation: Operation[Result]) -> None:
        self.operation = operation
        self.failure: Failure | None = None

    @abstractmethod
    def settle(self) -> None:
        """Pass on the result or the failure."""


class PendingCall(Pending[Result]):
    """A submitted operation with a callback for each outcome."""

    __slots__ = ("_done", "_failed")

    def __init__(
        self,
        operation: Operation[Result],
        done: Callable[[Result], None],
        failed: Callable[[Failure], None],
    ) -> None:
        super().__init__(operation)
        self._done = done
        self._failed = failed

    def settle(self) -> None:
        """Call `done` with the result, or `failed` with the failure."""
        if self.failure is None:
            self._done(self.result)
        else:
            self._failed(self.failure)


Batch = Sequence[Pending[Any]]
"""Operations of one commit, in order."""


@dataclass(frozen=True, slots=True)
class User:
    """A user: the store's `id`, and `name` as it was spelled when claimed.

    The user of an operation also has the `device` and the IP `address` of the session, so that
    the store refuses a revoked device or a banned address at the moment of the commit; 0 and None
    elsewhere.
    """

    id: int
    name: str
    device: int = field(default=0, compare=False)
    address: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the audit log, as a running server applies it and as `audit` shows it."""

    seq: int
    ts: int
    act: str
    actor: User | None
    """None: the operator or the server itself."""
    user: User | None
    """The account concerned, with its present name."""
    device: int | None = None
    """The device concerned, of `created`, `device_added` and `device_revoked`."""
    address: str | None = None
    """The actor's address; erased after 90 days."""
    details: Mapping[str, str] = field(default_factory=dict)
    """A further subject of the act; for `banned` and `unbanned` of a network: `network`."""


class OpenInvitation(NamedTuple):
    """An invitation of a user to a channel."""

    channel: str
    by: str
    ts: int
    topic: str
    private: bool


Place = tuple[str, str, int]
"""The name of a user, that of a channel, and a seq of the channel."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a commit changed that other servers on the database cannot see in a log they follow.

    Each exclusive commit has one, with the next `generation`; a server applies them in order.
    """

    generation: int
    ts: int
    listed: Sequence[Place] = ()
    """Channels that were added to the lists of users: joined, opened, or no longer hidden."""
    left: Sequence[Place] = ()
    """Ended memberships, each with the seq of the event that ended it."""
    hidden: Sequence[Place] = ()
    """Direct channels that users have hidden, with their heads."""
    invited: Sequence[tuple[str, OpenInvitation]] = ()
    """New invitations to channels, by the name of the invited user."""
    uninvited: Sequence[tuple[str, OpenInvitation]] = ()
    """Ended invitations to channels."""
    ignored: Sequence[tuple[str, Sequence[str]]] = ()
    """Users who changed whom they ignore, with all names."""
    renamed: Sequence[tuple[str, str]] = ()
    """Old and new names of direct channels."""
    has_jobs: bool = False
    """Whether a job may have been added."""
    has_audit: bool = False
    """Whether the audit log has new entries."""


class ChannelHead(NamedTuple):
    """The position of a log."""

    name: str
    epoch: str
    head: int


class Delivered(NamedTuple):
    """The last event of a log that a server has delivered."""

    channel_id: int
    epoch: str
    seq: int
    mid: str | None
    """None if the server has only read the log so far."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The events and the operations of one commit, in order.

    `audit` has all new entries of the audit log up to this commit, those of other processes
    included. A commit of another process comes without events and operations.

    `has_jobs` says that a job may have been added: the server then runs it (`RunNextJob`).

    `uninvited` has the invitations to channels that ended, each with the invited user: accepted,
    declined, withdrawn, or void after a ban or with the channel. Silent ones are left out.

    `kept_hidden` has the direct channels with new messages that stay hidden from some participants,
    who ignore their author: the names of these participants by channel.

    `channel_ids` has the id of the channel of each event.

    `generation` is that of the database after the commit, and `notice` what other servers learn of
    it; 0 and None if no other server can share the database.

    `began` and `ended` are the seconds of `time.monotonic` at the start of the transaction and once
    it was on disk, or had failed.
    """

    events: Sequence[EventFields]
    operations: Batch
    audit: Sequence[AuditEntry] = ()
    has_jobs: bool = False
    uninvited: Sequence[tuple[User, OpenInvitation]] = ()
    kept_hidden: Mapping[str, frozenset[str]] = field(default_factory=dict)
    channel_ids: Sequence[int] = ()
    generation: int = 0
    notice: Notice | None = None
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class ChannelState:
    """A channel as of one commit."""

    id: int
    name: str
    epoch: str
    head: int
    topic: str
    settings: ChannelSettings = DEFAULT


class Preference(NamedTuple):
    """A member's preferences for a channel; see `protocol.commands.Prefer`."""

    pinned: int
    muted: bool
    level: str


class Muted(NamedTuple):
    """A mute in force; `until` is in milliseconds since 1970, None: until lifted."""

    by: str
    until: int | None
    reason: str


class ThreadState(NamedTuple):
    """A followed thread; see `protocol.frames.ThreadState`."""

    thread: int
    read: int
    unread: int
    mentions: int


@dataclass(slots=True)
class Membership:
    """A user's membership: the channel's state, their role, and their unread counts.

    `role` is the effective one: `owner` for the server's admins in `#general`. `threads` has the
    followed threads: those with unread replies, then others of the newest.
    """

    channel: ChannelState
    role: str
    read: int
    unread: int
    mentions: int
    preference: Preference
    mute: Muted | None = None
    threads: tuple[ThreadState, ...] = ()


class PageRead(NamedTuple):
    """A page of a log, and the channel as of the same snapshot."""

    channel: ChannelState
    items: tuple[ItemFields, ...]
    complete: bool


class Resumed(NamedTuple):
    """The events missed since a position; see `protocol.frames.Joined`."""

    membership: Membership
    pins: tuple[int, ...]
    recovered: bool
    items: tuple[ItemFields, ...]
    complete: bool


class MemberRow(NamedTuple):
    """A member of a channel (a tuple because every `joined` carries a hundred)."""

    name: str
    role: str
    muted: bool = False


class MemberPage(NamedTuple):
    """Members by name, the cursor of the next page, and the total number of members."""

    channel: str
    """The channel's name as stored."""
    rows: tuple[MemberRow, ...]
    cursor: str | None
    total: int


class PublicChannel(NamedTuple):
    """A channel in the directory; `members` is their number."""

    name: str
    topic: str
    members: int
    archived: bool = False


class ChannelPolicy(NamedTuple):
    """The server's rules for new channels."""

    is_open: bool = True
    """Whether all users may create channels; otherwise only admins may."""
    reserved: frozenset[str] = frozenset()
    """Folded names that no new channel may have."""


OPEN = ChannelPolicy()


@operation
class JoinChannel(ChannelOperation[ChannelState]):
    """Become a member of `channel`; it is created if it does not exist. Idempotent."""

    is_shared: ClassVar[bool] = True  # clients join the channels that they are in again

    user: User
    channel: str
    policy: ChannelPolicy = OPEN


@operation
class LeaveChannel(ChannelOperation[None]):
    """End the membership of `channel`."""

    user: User
    channel: str


@dataclass(slots=True)
class Appended:
    """The position of the appended event.

    With `duplicate`, nothing was appended: either the same `(user, cid)` was stored before, and the
    fields are those of the original; or the reaction or pin already had the requested state, and
    the fields are None.
    """

    seq: int | None
    mid: str | None
    ts: int | None
    duplicate: bool = False


class Append(ChannelOperation[Appended]):
    """An operation that appends one event to the log; the protocol's models validated its texts.

    `cid` is the client's id of the send: each `(user, cid)` is stored at most once.
    """

    __slots__ = ()

    is_shared: ClassVar[bool] = True
    kind: ClassVar[str]
    """The kind of the event."""
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


@operation
class SendMessage(Append):
    """Append a message; the first one in a direct channel opens it."""

    kind: ClassVar[str] = "message"

    user: User
    channel: str
    text: str
    me: bool = False
    reply_to: int | None = None
    cid: str | None = None
    thread_only: bool = False


@operation
class EditMessage(AppendAbout):
    """Replace the text of the user's own message."""

    kind: ClassVar[str] = "edit"

    user: User
    channel: str
    seq: int
    text: str
    cid: str | None = None


@operation
class DeleteMessage(AppendAbout):
    """Erase the text of a message; its number remains."""

    kind: ClassVar[str] = "delete"

    user: User
    channel: str
    seq: int
    cid: str | None = None


@operation
class ReactToMessage(AppendAbout):
    """Add a reaction to a message, or remove the user's own."""

    kind: ClassVar[str] = "react"

    user: User
    channel: str
    seq: int
    emoji: str
    remove: bool = False
    cid: str | None = None


@operation
class PinMessage(AppendAbout):
    """Pin a message, or unpin it."""

    kind: ClassVar[str] = "pin"

    user: User
    channel: str
    seq: int
    remove: bool = False
    cid: str | None = None


@operation
class SetTopic(Append):
    """Change the topic of the channel."""

    is_shared: ClassVar[bool] = False
    kind: ClassVar[str] = "topic"

    user: User
    channel: str
    topic: str
    cid: str | None = None


class Marked(NamedTuple):
    """The marker after the commit; `moved` is false if it was at `seq` or beyond already."""

    channel: ChannelState
    read: int
    unread: int
    mentions: int
    moved: bool


@operation
class MarkRead(ChannelOperation[Marked]):
    """Move the user's read marker in `channel` forward to `seq`."""

    is_shared: ClassVar[bool] = True

    user: User
    channel: str
    seq: int


class Preferred(NamedTuple):
    """The preferences after the commit; `changed` is false if they were the same before."""

    channel: ChannelState
    preference: Preference
    changed: bool
    hidden: bool = False


@operation
class Prefer(ChannelOperation[Preferred]):
    """Change the user's preferences for `channel`; None leaves a field unchanged.

    `hidden` removes a direct channel from their list until its next message; False restores it.
    """

    is_shared: ClassVar[bool] = True

    user: User
    channel: str
    pinned: int | None = None
    muted: bool | None = None
    level: str | None = None
    hidden: bool | None = None


class JobStep(NamedTuple):
    """The result of a step; `renamed` holds old and new names of direct channels."""

    is_last: bool
    """Whether no job is left."""
    renamed: tuple[tuple[str, str], ...] = ()


@operation
class RunNextJob(Operation[JobStep]):
    """Run the next step of the oldest job, in a few milliseconds.

    A job is the part of an act that takes long, or that appends events for a command that cannot.
    A server submits it until the step is the last: after its start, and after a commit with jobs.
    """
