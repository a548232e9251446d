"""An open store for tests: operations as synchronous calls."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar

import pytest

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.items import Event, Item
from chat.protocol.values import Limits
from chat.store.accounts import ADMIN, ChangeAccount, SignIn
from chat.store.audit_feed import AUDIT_EVERY
from chat.store.backend import INDEX_AFTER
from chat.store.maintenance.check import check_database
from chat.store.operations import (
    Append,
    Appended,
    AuditEntry,
    ChannelOperation,
    Commit,
    DeleteMessage,
    EditMessage,
    Failure,
    JoinChannel,
    LeaveChannel,
    Marked,
    MarkRead,
    Membership,
    Operation,
    PageRead,
    PendingCall,
    PinMessage,
    ReactToMessage,
    Resumed,
    SendMessage,
    SetTopic,
    User,
)
from chat.store.read.reader import Reader
from chat.store.store import Store
from chat.store.write.writer import GATHER, PROBE_EVERY, STALLED_AFTER
from tests.serving import PATIENCE, eventually

T = TypeVar("T")


def sqlite_url(folder: Path) -> str:
    """Return the URL of the SQLite database in a folder."""
    return f"sqlite:///{folder / 'chat.db'}"


class OpenStore:
    """A store on the database at `url`, and its commits.

    The clock advances one second per event, unless `clock_ms` is given. While `gate` is closed, it
    blocks the writer's thread in `committed`, so that operations submitted then share a commit.
    """

    def __init__(
        self,
        url: str,
        limits: Limits | None = None,
        *,
        clock_ms: Callable[[], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        index_after: float = INDEX_AFTER,
        probe_every: float = PROBE_EVERY,
        gather: float = GATHER,
        stalled_after: float = STALLED_AFTER,
        audit_every: float = AUDIT_EVERY,
    ) -> None:
        self.url = url
        self.commits: list[Commit] = []
        self.gate = threading.Event()
        self.gate.set()
        self.index_after = index_after
        self._seconds = itertools.count(1_000)
        self.store = Store.open(
            self.url,
            limits=limits or Limits(),
            committed=self._committed,
            clock_ms=clock_ms or (lambda: next(self._seconds) * 1_000),
            monotonic=monotonic,
            index_after=index_after,
            probe_every=probe_every,
            gather=gather,
            stalled_after=stalled_after,
            audit_every=audit_every,
        )

    @property
    def file(self) -> Path:
        """The SQLite database file; a test that needs it is skipped elsewhere."""
        self.require_sqlite()
        return Path(self.url.removeprefix("sqlite:///"))

    def require_sqlite(self) -> None:
        """Skip the test on other databases: it looks into the file or at SQLite's statements."""
        if not self.url.startswith("sqlite:"):
            pytest.skip("the test looks into SQLite")

    @property
    def folder(self) -> Path:
        """The folder of the SQLite database."""
        return self.file.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.gate.set()
        self.store.close()

    def _committed(self, commit: Commit) -> None:
        # The test may close the gate as soon as it has an answer. It blocks the writer only: the
        # thread that delivers the acts of others holds up the writer's deliveries.
        is_blocked = bool(commit.operations) and not self.gate.is_set()
        self.commits.append(commit)
        for pending in commit.operations:
            pending.settle()
        if is_blocked:
            self.gate.wait(PATIENCE)

    def set_clock(self, seconds: int) -> None:
        """Set the clock forward or backward; it continues from there."""
        self._seconds = itertools.count(seconds)

    # Writing

    def submit(self, operations: Sequence[Operation[T]]) -> Callable[[], list[T | Failure]]:
        """Submit operations; return a function that waits for their results or failures."""
        results: SimpleQueue[T | Failure] = SimpleQueue()
        self.store.submit(
            [PendingCall(operation, results.put, results.put) for operation in operations]
        )
        return lambda: [results.get(timeout=PATIENCE) for _ in operations]

    def outcome(self, operation: Operation[T]) -> T | Failure:
        """Run an operation; return its result or failure."""
        return self.submit([operation])()[0]

    def do(self, operation: Operation[T]) -> T:
        """Run an operation that must succeed; return its result."""
        outcome = self.outcome(operation)
        if isinstance(outcome, CommandError | StoreUnavailable):
            raise AssertionError(f"{operation} failed") from outcome
        return outcome

    def together(self, operations: Sequence[Operation[T]]) -> list[T | Failure]:
        """Run several operations in one commit."""
        self.gate.clear()
        self.outcome(MarkRead(User(0, "nobody"), "#general", 1))  # blocks the writer at the gate
        outcomes = self.submit(operations)
        self.gate.set()
        return outcomes()

    def refused(self, operation: Operation[Any]) -> ErrorCode:
        """Run an operation that must be refused; return its error code."""
        outcome = self.outcome(operation)
        assert isinstance(outcome, CommandError), outcome
        assert outcome.message
        return outcome.code

    def sign_in(self, name: str) -> User:
        """Claim a new name."""
        return self.do(SignIn(name, None, name.encode() * 8)).user

    def admin(self, name: str) -> User:
        """Claim a new name, and make it an admin."""
        user = self.sign_in(name)
        self.do(ChangeAccount(None, name, role=ADMIN))
        return user

    @property
    def entries(self) -> list[AuditEntry]:
        """The entries of the audit log in all commits so far, in order of their delivery."""
        return [entry for commit in self.commits for entry in commit.audit]

    @property
    def acts(self) -> list[str]:
        """The acts of `entries`."""
        return [entry.act for entry in self.entries]

    @property
    def last_event(self) -> Event | None:
        """The last event of the last commit, or None if it has no events."""
        events = self.commits[-1].events
        return Event.model_validate(events[-1]) if events else None

    def join(self, user: User, channel: str) -> Membership:
        """Join or create a channel; return the membership."""
        self.do(JoinChannel(user, channel))
        return self.membership(user, channel)

    def leave(self, user: User, channel: str) -> None:
        """Leave."""
        self.do(LeaveChannel(user, channel))

    def append(self, operation: ChannelOperation[Appended]) -> Appended:
        """Append an event; it may be a duplicate."""
        return self.do(operation)

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
        return self.do(MarkRead(user, channel, seq))

    def wait_until_indexed(self) -> None:
        """Wait until the full-text index contains every message."""
        if not self.url.startswith("sqlite:"):
            return  # messages are indexed in the transactions that store them

        def is_indexed() -> bool:
            with closing(sqlite3.connect(self.file)) as other:
                place = other.execute("SELECT value FROM meta WHERE key = 'search_place'")
                newest = other.execute("SELECT coalesce(max(id), 0) FROM events")
                return place.fetchall() == [(str(newest.fetchone()[0]),)]

        eventually(is_indexed, "the index has every message")

    def problems(self) -> list[str]:
        """Return the problems that `chat-server check` finds."""
        return [each for each in check_database(self.url) if isinstance(each, str)]

    # Reading

    def read(self, query: Callable[[Reader], T]) -> T:
        """Read a snapshot."""
        return self.store.read(query).result(PATIENCE)

    def log(self, user: User, channel: str = "#general") -> tuple[Item, ...]:
        """Return all events of a channel."""
        items: list[Item] = []

        def further(reader: Reader) -> PageRead:
            last = items[-1].seq if items else 0
            return reader.page(user, channel, after=last, limit=100_000)

        is_complete = False
        while not is_complete:
            page = self.read(further)
            items += items_of(page)
            is_complete = page.complete
        return tuple(items)

    def membership(self, user: User, channel: str = "#general") -> Membership:
        """Return the user's membership of a channel."""
        return self.read(lambda reader: reader.membership(user, channel))

    def item(self, user: User, seq: int, channel: str = "#general") -> Item:
        """Return the current item of an event."""
        return self.log(user, channel)[seq - 1]


def items_of(read: PageRead | Resumed) -> list[Item]:
    """Return the items that were read, validated as a client does."""
    return [Item.model_validate(fields) for fields in read.items]


def message(
    user: User,
    text: str = "hello",
    channel: str = "#general",
    *,
    cid: str | None = None,
    reply_to: int | None = None,
) -> Append:
    """Return the sending of a message."""
    return SendMessage(user, channel, text, reply_to=reply_to, cid=cid)


def edit(
    user: User, target: int, text: str, channel: str = "#general", *, cid: str | None = None
) -> Append:
    """Return the edit of a message."""
    return EditMessage(user, channel, target, text, cid)


def delete(user: User, target: int, channel: str = "#general", *, cid: str | None = None) -> Append:
    """Return the deletion of a message."""
    return DeleteMessage(user, channel, target, cid)


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
    return ReactToMessage(user, channel, target, emoji, remove, cid)


def pin(
    user: User,
    target: int,
    channel: str = "#general",
    *,
    remove: bool = False,
    cid: str | None = None,
) -> Append:
    """Return the pinning of a message."""
    return PinMessage(user, channel, target, remove, cid)


def topic(user: User, text: str, channel: str = "#general", *, cid: str | None = None) -> Append:
    """Return the setting of a topic."""
    return SetTopic(user, channel, text, cid)
