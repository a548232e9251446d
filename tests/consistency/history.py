"""The evidence: the commands of clients and the answers, collected while faults happen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chat.protocol.commands import Delete, Edit, React, Send
from chat.protocol.items import Event, Item

__all__ = [
    "Ack",
    "Append",
    "Applied",
    "Claim",
    "History",
    "Restriction",
    "RoomAct",
    "Segment",
    "Sight",
    "Stop",
    "Welcomed",
    "Writing",
]

Writing = Send | Edit | Delete | React
"""A command that appends, with a `cid`."""


@dataclass(frozen=True, slots=True)
class Ack:
    """One `ok`: its session, its number among the session's commands, and its content.

    `asked` and `answered` are seconds of the event loop's clock.
    """

    session: int
    index: int
    seq: int
    mid: str
    duplicate: bool
    asked: float
    answered: float


@dataclass(slots=True)
class Append:
    """One command that appends to a log; it is repeated until it is answered."""

    author: str
    command: Writing
    acks: list[Ack] = field(default_factory=list)
    refusal: str = ""
    """The error code, if it was permanently rejected."""

    @property
    def is_open(self) -> bool:
        """Whether its client must repeat it."""
        return not self.acks and not self.refusal


@dataclass(frozen=True, slots=True)
class Applied:
    """An event as a follower applied it: the parts that must be equal for all followers."""

    seq: int
    mid: str
    kind: str
    author: str
    cid: str | None

    @classmethod
    def of(cls, entry: Event | Item) -> Applied:
        """Return the identity of `entry`."""
        return cls(entry.seq, entry.mid, entry.kind, entry.author, entry.cid)


@dataclass(slots=True)
class Segment:
    """The events of one log that a follower applied without a break, after the number `start`."""

    channel: str
    epoch: str
    start: int
    applied: list[Applied] = field(default_factory=list)

    @property
    def position(self) -> int:
        """The last number applied."""
        return self.applied[-1].seq if self.applied else self.start


@dataclass(slots=True)
class Stop:
    """A ban or a disabled account: from its answer until the start of its removal.

    Times are seconds of the event loop's clock.
    """

    name: str
    start: float
    end: float = float("inf")


@dataclass(frozen=True, slots=True)
class Restriction:
    """A mute, or a ban from a channel: from its answer until the start of its removal."""

    kind: str
    """`mute` or `ban`."""
    channel: str
    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class RoomAct:
    """An acknowledged act of moderation: its event in the log, and the member concerned."""

    channel: str
    seq: int
    kind: str
    """`ban`: it is a `leave` event if it ended a membership."""
    name: str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What a user received of a channel.

    Without `is_live`, `seq` is the head as of which the server read something for them.
    """

    seq: int
    is_live: bool


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A `hello` that was answered with `welcome`, in seconds of the event loop's clock."""

    name: str
    asked: float
    answered: float


@dataclass(slots=True)
class Claim:
    """A new name, claimed with an invitation for `uses` names."""

    name: str
    invitation: int
    uses: int
    welcomes: int = 0
    refusal: str = ""


@dataclass(slots=True)
class History:
    """All evidence of one run."""

    appends: list[Append] = field(default_factory=list)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    """The segments of each follower."""
    violations: list[str] = field(default_factory=list)
    """Problems that were found during the run."""
    stops: list[Stop] = field(default_factory=list)
    acts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of acknowledgements of each act, by act and account."""
    restrictions: list[Restriction] = field(default_factory=list)
    expiries: list[int] = field(default_factory=list)
    """The jobs that erase old texts."""
    room_acts: list[RoomAct] = field(default_factory=list)
    sights: dict[tuple[str, str], set[Sight]] = field(default_factory=dict)
    """What each user received of each channel that they could be removed from."""
    welcomes: list[Welcomed] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sessions: int = 0

    def new_session(self) -> int:
        """Return a number for a new session."""
        self.sessions += 1
        return self.sessions
