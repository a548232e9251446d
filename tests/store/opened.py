"""An open store for tests: operations as plain calls, one commit each or several in one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Self, TypeVar

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import Item
from chat.protocol.values import Limits
from chat.store.operations import (
    Append,
    Appended,
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    LeftChannel,
    Marked,
    MarkRead,
    Operation,
    Outcome,
    PageRead,
    Pending,
    Seat,
    SignedIn,
    SignIn,
    User,
)
from chat.store.read.reader import Reader
from chat.store.store import Store

T = TypeVar("T")
PATIENCE = 20.0


class OpenStore:
    """A store in `folder`, and what it committed.

    The clock ticks one second per event. `gate` holds the writer's thread in `committed` while it
    is closed, so that what is submitted meanwhile goes into one commit.
    """

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.file = folder / "chat.db"
        self.url = f"sqlite:///{self.file}"
        self.commits: list[Sequence[tuple[Pending, Outcome]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._told: SimpleQueue[Outcome] = SimpleQueue()
        self._seconds = itertools.count(1_000)
        self.store = Store.open(
            self.url,
            limits=limits or Limits(),
            committed=self._committed,
            clock_ms=lambda: next(self._seconds) * 1_000,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.gate.set()
        self.store.close()

    def _committed(self, batch: Sequence[tuple[Pending, Outcome]]) -> None:
        self.commits.append(batch)
        for _pending, outcome in batch:
            self._told.put(outcome)
        self.gate.wait(PATIENCE)

    def set_clock(self, seconds: int) -> None:
        """Let the clock say something else, forwards or backwards, and tick on from there."""
        self._seconds = itertools.count(seconds)

    # Writing

    def outcome(self, operation: Operation) -> Outcome:
        """Carry out one operation."""
        self.store.submit(Pending(operation, None))
        return self._told.get(timeout=PATIENCE)

    def together(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Carry out several operations in one commit."""
        self.gate.clear()
        self.outcome(MarkRead(User(0, "nobody"), "#general", 1))  # holds the writer at the gate
        for operation in operations:
            self.store.submit(Pending(operation, None))
        self.gate.set()
        return self.outcomes(len(operations))

    def outcomes(self, count: int) -> list[Outcome]:
        """Wait for the outcomes of operations that were submitted directly."""
        return [self._told.get(timeout=PATIENCE) for _ in range(count)]

    def refused(self, operation: Operation) -> ErrorCode:
        """Carry out an operation that must be refused; return why."""
        outcome = self.outcome(operation)
        assert isinstance(outcome, CommandError), outcome
        assert outcome.message
        return outcome.code

    def sign_in(self, name: str) -> User:
        """Claim a new name."""
        outcome = self.outcome(SignIn(name, None, name.encode() * 8))
        assert isinstance(outcome, SignedIn), outcome
        return outcome.user

    def join(self, user: User, channel: str) -> JoinedChannel:
        """Join, creating the channel if need be."""
        outcome = self.outcome(JoinChannel(user, channel))
        assert isinstance(outcome, JoinedChannel), outcome
        return outcome

    def leave(self, user: User, channel: str) -> LeftChannel:
        """Leave."""
        outcome = self.outcome(LeaveChannel(user, channel))
        assert isinstance(outcome, LeftChannel), outcome
        return outcome

    def append(self, operation: Append) -> Appended:
        """Append, or repeat."""
        outcome = self.outcome(operation)
        assert isinstance(outcome, Appended), outcome
        return outcome

    def send(
        self,
        user: User,
        text: str = "hello",
        channel: str = "#general",
        *,
        cid: str | None = None,
        reply_to: int | None = None,
    ) -> int:
        """Send a message; return its seq."""
        done = self.append(message(user, text, channel, cid=cid, reply_to=reply_to))
        assert done.seq is not None
        return done.seq

    def mark(self, user: User, seq: int, channel: str = "#general") -> Marked:
        """Move the read marker."""
        outcome = self.outcome(MarkRead(user, channel, seq))
        assert isinstance(outcome, Marked), outcome
        return outcome

    # Reading

    def read(self, query: Callable[[Reader], T]) -> T:
        """Read a snapshot."""
        return self.store.read(query).result(PATIENCE)

    def log(self, user: User, channel: str = "#general") -> tuple[Item, ...]:
        """Return everything in a channel."""
        items: list[Item] = []

        def further(reader: Reader) -> PageRead:
            last = items[-1].seq if items else 0
            return reader.page(user, channel, after=last, limit=100_000)

        while not (page := self.read(further)).complete:
            items.extend(page.items)
        items.extend(page.items)
        return tuple(items)

    def seat(self, user: User, channel: str = "#general") -> Seat:
        """Return somebody's place in a channel."""
        return self.read(lambda reader: reader.channel(user, channel))

    def item(self, user: User, seq: int, channel: str = "#general") -> Item:
        """Return one event as it is now."""
        return self.log(user, channel)[seq - 1]


def message(
    user: User,
    text: str = "hello",
    channel: str = "#general",
    *,
    cid: str | None = None,
    reply_to: int | None = None,
) -> Append:
    """Return the sending of a message."""
    return Append(user, channel, "message", body={"text": text, "reply_to": reply_to}, cid=cid)


def edit(
    user: User, target: int, text: str, channel: str = "#general", *, cid: str | None = None
) -> Append:
    """Return the edit of a message."""
    return Append(user, channel, "edit", target, {"text": text}, cid)


def delete(user: User, target: int, channel: str = "#general", *, cid: str | None = None) -> Append:
    """Return the deletion of a message."""
    return Append(user, channel, "delete", target, {}, cid)


def react(
    user: User,
    target: int,
    emoji: str,
    channel: str = "#general",
    *,
    remove: bool = False,
    cid: str | None = None,
) -> Append:
    """Return a reaction to a message."""
    return Append(user, channel, "react", target, {"emoji": emoji, "remove": remove}, cid)


def pin(
    user: User,
    target: int,
    channel: str = "#general",
    *,
    remove: bool = False,
    cid: str | None = None,
) -> Append:
    """Return the pinning of a message."""
    return Append(user, channel, "pin", target, {"remove": remove}, cid)


def topic(user: User, text: str, channel: str = "#general", *, cid: str | None = None) -> Append:
    """Return the setting of a topic."""
    return Append(user, channel, "topic", None, {"topic": text}, cid)
