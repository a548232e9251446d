"""What clients did and were told: the evidence, collected while faults happen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chat.protocol.commands import Delete, Edit, React, Send
from chat.protocol.items import Event, Item

__all__ = ["Ack", "Append", "Applied", "Claim", "History", "Segment", "Stop", "Welcomed", "Writing"]

Writing = Send | Edit | Delete | React
"""A command that appends, with a `cid`."""


@dataclass(frozen=True, slots=True)
class Ack:
    """One `ok`: in which session, as the how-manieth command of it, and what it said.

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
    """One thing that a client wants in a log, however often it has to ask for it."""

    author: str
    command: Writing
    acks: list[Ack] = field(default_factory=list)
    refusal: str = ""
    """The error code, if it was refused for good."""

    @property
    def is_open(self) -> bool:
        """Whether its client must go on asking."""
        return not self.acks and not self.refusal


@dataclass(frozen=True, slots=True)
class Applied:
    """An event as a follower applied it: what must be the same for everybody."""

    seq: int
    mid: str
    kind: str
    author: str
    cid: str | None

    @classmethod
    def of(cls, entry: Event | Item) -> Applied:
        """Return what identifies `entry`."""
        return cls(entry.seq, entry.mid, entry.kind, entry.author, entry.cid)


@dataclass(slots=True)
class Segment:
    """What a follower applied of one log without a break, from the number after `start` on."""

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
    """A ban or a disabled account: from the act's answer until it begins to be lifted.

    Times are seconds of the event loop's clock.
    """

    name: str
    start: float
    end: float = float("inf")


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A `hello` that was answered by `welcome`, in seconds of the event loop's clock."""

    name: str
    asked: float
    answered: float


@dataclass(slots=True)
class Claim:
    """A new name that somebody claims with an invitation for `uses` names."""

    name: str
    invitation: int
    uses: int
    welcomes: int = 0
    refusal: str = ""


@dataclass(slots=True)
class History:
    """Everything that was seen in one run."""

    appends: list[Append] = field(default_factory=list)
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    """By follower."""
    violations: list[str] = field(default_factory=list)
    """What was wrong at the moment when it was seen."""
    stops: list[Stop] = field(default_factory=list)
    acts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each act was acknowledged, by act and account."""
    welcomes: list[Welcomed] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sessions: int = 0

    def new_session(self) -> int:
        """Return a number for a session that begins."""
        self.sessions += 1
        return self.sessions
