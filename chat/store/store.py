"""The store: writes through one thread, reads through a pool."""

from __future__ import annotations

import getpass
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from operator import call
from queue import SimpleQueue
from typing import Self, TypeVar

from sqlalchemy import Connection, literal, select
from sqlalchemy.exc import DBAPIError

from chat.errors import CommandError, StartupError, StoreFault, StoreUnavailable
from chat.protocol.values import Limits
from chat.store.accounts import AccountOperation, EraseAccount, ForceExpiry
from chat.store.audit_feed import AUDIT_EVERY, AuditFeed
from chat.store.backend import (
    FOLLOWERS,
    INDEX_AFTER,
    READERS,
    SEARCHERS,
    WELCOMERS,
    Database,
    backend_of,
)
from chat.store.operations import (
    Batch,
    Commit,
    Delivered,
    Failure,
    Operation,
    PendingCall,
    RunNextJob,
)
from chat.store.read.reader import Reader
from chat.store.schema import metadata
from chat.store.search.search import index_unavailable
from chat.store.write.lookups import hints_key
from chat.store.write.transaction import Transaction, wall_clock_ms
from chat.store.write.writer import CLOSED, GATHER, PROBE_EVERY, STALLED_AFTER, Writer, decide

__all__ = ["Store", "erase_account", "execute", "expire", "look"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Given = TypeVar("Given")
Result = TypeVar("Result")

LOOK_EVERY = 2.0
"""Seconds between checks of whether the database can be read."""
FAULT_STAYS = 10.0
"""Seconds that a failed read counts as a fault, as the check may miss a broken page."""
INTERRUPT_EVERY = 0.01
JOB_EVERY = 0.2
"""Seconds between looks of a command for the result of its job."""
_SHARED = threading.Lock()
"""Held while a thread uses a database without the server's lock.

The file is examined first, and a process that closes a file loses its locks on it, also those of
connections of other threads: https://sqlite.org/howtocorrupt.html#_posix_advisory_locks.
"""


class Store:
    """All logs, users and memberships of one server.

    Order: operations run in the order of `submit`; within a channel, seq order is commit order,
    without gaps.

    Durability: `committed` gets an operation after its transaction is on disk (`COMMIT` with
    `synchronous=FULL`); it survives `kill -9` and a power cut. A failed operation has changed
    nothing.

    Errors: the failure of a refused operation is its `CommandError`. While the database
    accepts no writes (disk full, read-only, locked), operations that need to write fail with
    `StoreUnavailable`, and the store keeps retrying. A failure does not affect other operations.

    Threads: `submit`, `read`, `welcome` and `search` may be called from any thread and do not
    block. `committed` is called in threads of the store, one commit at a time, and should return
    quickly: the next commit waits for it. Only one process may open a database (see `open`); the
    operator's commands write beside it with `execute`.

    Audit: `Commit.audit` has every entry after those at `open`, in order and exactly once. Entries
    of other processes arrive within half a second, in a commit without events or with the next one.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        limits: Limits,
        clock_ms: Callable[[], int],
        audit_feed: AuditFeed,
    ) -> None:
        self.server_id = database.server_id
        """Random id, created with the database; never changes."""
        self._database = database
        self._writer = writer
        self.submit: Callable[[Batch], None] = writer.submit
        """Queues operations; `committed` receives each with its result or failure.

        Raises `StoreUnavailable` if the store is closed; nothing is queued then.
        """
        self._limits = limits
        self._clock_ms = clock_ms
        self._audit_feed = audit_feed
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._welcomers = ThreadPoolExecutor(WELCOMERS, thread_name_prefix="store-welcomer")
        self._searchers = ThreadPoolExecutor(SEARCHERS, thread_name_prefix="store-searcher")
        self._followers = ThreadPoolExecutor(FOLLOWERS, thread_name_prefix="store-follower")
        self._searching: set[Callable[[], None]] = set()
        """Functions that interrupt the running searches; closing the store calls them."""
        self._is_closing = False
        self._reading = _Reading(database)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        limits: Limits,
        committed: Callable[[Commit], None],
        defer: Callable[[Callable[[], None]], object] = call,
        clock_ms: Callable[[], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        index_after: float = INDEX_AFTER,
        probe_every: float = PROBE_EVERY,
        audit_every: float = AUDIT_EVERY,
        gather: float = GATHER,
        stalled_after: float = STALLED_AFTER,
        login: str = "",
    ) -> Self:
        """Open the database; create or migrate it if necessary.

        Args:
            url: `sqlite:////path/chat.db` or `postgresql://host/database`.
            limits: bounds on channels, reactions and unread counts.
            committed: gets every commit once it is on disk.
            defer: calls a function after the operations that belong into one commit were submitted:
                `call_soon` of an event loop, whose thread then submits them all.
            clock_ms: milliseconds since 1970, for timestamps; by default the clock of the database,
                or of this machine if the database has none.
            monotonic: seconds of a clock that nobody sets, to notice a jump of the other one.
            index_after: seconds from a commit to the indexing of its messages; `search` also finds
                messages that are not indexed yet.
            probe_every: seconds between write attempts while writes fail.
            audit_every: seconds between looks for audit entries of other processes.
            gather: seconds between the starts of two commits while operations arrive in quick
                succession.
            stalled_after: seconds without an end of a commit, while operations wait, after which
                the database is not `healthy`.
            login: the operator's login name, for audit entries of a command; empty for a server.

        Raises:
            StartupError: the address is wrong, the file or folder cannot be written, is damaged, no
                chat database, of a newer version, or in use by another server. The file is
                unharmed.
        """
        local_ms = clock_ms or wall_clock_ms
        database = backend_of(url).open(url, local_ms)
        feed = AuditFeed(database, committed, audit_every)
        writer = Writer(
            database,
            Transaction(database, limits, clock_ms, monotonic, login),
            feed.committing,
            feed.committed,
            defer,
            local_ms,
            index_after,
            probe_every,
            gather,
            stalled_after,
        )
        return cls(database, writer, limits, local_ms, feed)

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """Run `query` on a snapshot, in a reader thread.

        The future's errors are those of `query`, `StoreFault` for an error in the
        store's own SQL, and `StoreUnavailable` if the database cannot be read or the store is
        closed. Closing the store cancels queued futures. A damaged full-text index is rebuilt.
        """
        return self._submit(self._readers, self._read, query)

    def welcome(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do the same as `read`, in a thread reserved for sign-ins."""
        return self._submit(self._welcomers, self._read, query)

    def follow(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do the same as `read`, in a thread reserved for what other servers have committed."""
        return self._submit(self._followers, self._read, query)

    def search(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do the same as `read`, in a thread reserved for searches."""
        return self._submit(self._searchers, self._search, query)

    def renew_epochs(self, delivered: Sequence[Delivered]) -> Future[list[int]]:
        """Give the logs that have lost what was delivered a new epoch, in the thread of `follow`.

        Returns the number of lost events of each renewed log, as far as they are known.
        """
        return self._submit(self._followers, self._renew_epochs, delivered)

    def _submit(
        self,
        threads: ThreadPoolExecutor,
        run: Callable[[Given], T],
        given: Given,
    ) -> Future[T]:
        try:
            return threads.submit(run, given)
        except RuntimeError:
            failed: Future[T] = Future()
            failed.set_exception(StoreUnavailable(CLOSED))
            return failed

    def secret(self) -> bytes:
        """Return a key that the servers on this database share, to authenticate messages.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        return self._run(lambda connection: hints_key(connection))

    def use_limits(self, limits: Limits) -> None:
        """Use other limits for the next commits and reads; may be called from any thread."""
        self._limits = limits
        self._writer.use_limits(limits)

    @property
    def waiting(self) -> int:
        """Number of submitted operations that are not committed yet."""
        return self._writer.waiting

    def healthy(self) -> str | None:
        """Return why commits or reads fail, or why no commit ends, in one line, or None."""
        return self._reading.fault or self._writer.fault or self._writer.stall

    def look(self) -> None:
        """Schedule a check of the database for `healthy` if one is due; call it regularly."""
        if self._reading.is_due():
            with suppress(RuntimeError):  # closed
                self._welcomers.submit(self._reading.look)

    def close(self) -> None:
        """Commit the submitted operations, truncate the write-ahead log, unlock; idempotent.

        Reads in progress are finished, searches are interrupted, and queued reads are cancelled.
        """
        self._is_closing = True
        every = (self._readers, self._welcomers, self._searchers, self._followers)
        for threads in every:
            threads.shutdown(wait=False, cancel_futures=True)
        while running := tuple(self._searching):
            for interrupt in running:
                interrupt()
            time.sleep(INTERRUPT_EVERY)
        for threads in every:
            threads.shutdown()
        self._writer.close()
        self._audit_feed.close()
        self._database.close(is_healthy=self.healthy() is None)

    def _read(self, query: Callable[[Reader], T]) -> T:
        return self._run(lambda connection: query(self._reader(connection)))

    def _search(self, query: Callable[[Reader], T]) -> T:
        def run(connection: Connection) -> T:
            interrupt = self._database.interruption(connection)
            self._searching.add(interrupt)
            try:
                if self._is_closing:
                    raise StoreUnavailable(CLOSED)
                return query(self._reader(connection))
            finally:
                self._searching.discard(interrupt)

        return self._run(run)

    def _reader(self, connection: Connection) -> Reader:
        return Reader(connection, self._limits, self._clock_ms, self._database)

    def _run(self, query: Callable[[Connection], T]) -> T:
        since = time.monotonic()
        try:
            with self._database.readers.begin() as connection:
                return query(connection)
        except DBAPIError as exc:
            if self._database.is_of_index(exc):
                self._writer.rebuild_index(exc, since)
                raise index_unavailable() from exc
            raise self._failure(exc) from exc

    def _renew_epochs(self, delivered: Sequence[Delivered]) -> list[int]:
        try:
            return self._database.renew_epochs(delivered)
        except DBAPIError as exc:
            raise self._failure(exc) from exc

    def _failure(self, error: DBAPIError) -> StoreUnavailable:
        reason = self._database.reason_of(error)
        if not self._database.is_unavailability(error):
            return StoreFault(f"a read failed: {reason}")
        self._reading.failed(reason)
        return StoreUnavailable(f"cannot read the database: {reason}")


class _Reading:
    """Tracks whether the database can be read, from the outcome of reads; thread-safe."""

    def __init__(self, database: Database) -> None:
        self.fault: str | None = None
        """Reason for a recent failed read, in one line; None if there was none."""
        self._database = database
        self._looked_at = float("-inf")
        self._failed_at = float("-inf")

    def is_due(self) -> bool:
        """Return whether a check is due; if so, restart the interval."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY:
            return False
        self._looked_at = now
        return True

    def look(self) -> None:
        """Check that messages can be kept, and read a row of every table."""
        if danger := self._database.danger():
            self.failed(danger)
            return
        try:
            with self._database.readers.begin() as connection:
                for table in metadata.sorted_tables:
                    connection.execute(select(literal(1)).select_from(table).limit(1)).all()
        except DBAPIError as exc:
            self.failed(self._database.reason_of(exc))
        else:
            self._succeeded()

    def failed(self, reason: str) -> None:
        """Record that a read failed."""
        self._failed_at = time.monotonic()
        if self.fault is None:  # log only the first failure
            log.error("cannot read %s: %s", self._database.name, reason)
        self.fault = reason

    def _succeeded(self) -> None:
        if self.fault is not None and time.monotonic() - self._failed_at >= FAULT_STAYS:
            log.warning("%s can be read again", self._database.name)
            self.fault = None


def look(url: str, query: Callable[[Reader], T]) -> T:
    """Run a query on a snapshot of the database at `url`; a server may be using it.

    Raises:
        CommandError: the query is refused.
        StartupError: the database does not exist or cannot be read.
    """
    with _shared(url) as database:
        try:
            with database.readers.begin() as connection:
                return query(Reader(connection, Limits(), wall_clock_ms, database))
        except DBAPIError as exc:
            raise StartupError(
                f"{database.name} cannot be read: {database.reason_of(exc)}"
            ) from exc


def execute(url: str, operation: Operation[Result]) -> Result:
    """Run one operation on the database at `url`; a server may be using it.

    A running server applies the new audit entries within half a second; they have the operator's
    login name. The operation must not append events: a server would not deliver them.

    Raises:
        CommandError: the operation is refused; nothing was changed.
        StartupError: the database does not exist or is not writable.
        StoreUnavailable: the database is not accepting writes.
    """
    with _shared(url) as database:
        database.check_is_writable()
        transaction = Transaction(database, Limits(), None, login=_login())
        try:
            with database.writer.begin() as connection:
                transaction.begin(connection, [operation])
                result = decide(transaction, operation)
                assert not transaction.events, "only the process with the lock appends events"
                transaction.finish()
                return result
        except DBAPIError as exc:
            reason = database.reason_of(exc)
            raise StoreUnavailable(f"the database is not accepting writes: {reason}") from exc


@contextmanager
def _shared(url: str) -> Iterator[Database]:
    """Open the database at `url` beside a server, one thread at a time."""
    with _SHARED:
        database = backend_of(url).open_shared(url)
        try:
            yield database
        finally:
            database.close(is_healthy=True)


def erase_account(url: str, name: str, patience: float) -> bool:
    """Erase the account `name` completely; a server may be running, and then does it.

    With a running server the command does not take its lock for `patience` seconds, so the server
    can be restarted meanwhile and continues the erasure.

    Args:
        url: the database.
        name: the account's name as typed.
        patience: seconds to wait for the running server.

    Returns:
        Whether the erasure is complete; if not, the server continues it.

    Raises:
        CommandError: no_such_user, last_admin.
        StartupError: the database does not exist or is not writable.
        StoreUnavailable: the database is not accepting writes.
    """
    return _carry_out(url, EraseAccount(None, name), patience)


def expire(url: str, retention: int, patience: float) -> bool:
    """Erase all texts that are older than the retention, also more than a tenth of a channel.

    A server may be running, and then does it; see `erase_account`. `retention` is that of the
    server, in seconds; 0: none.

    Returns:
        Whether all are erased; if not, the server continues.

    Raises:
        StartupError: the database does not exist or is not writable.
        StoreUnavailable: the database is not accepting writes.
    """
    return _carry_out(url, ForceExpiry(None, retention), patience)


def _carry_out(url: str, operation: AccountOperation[int], patience: float) -> bool:
    """Run an operation that returns a job, and the job; return whether the job is done."""
    backend = backend_of(url)
    backend.check_is_current(url)
    with backend.taking_turns(url):  # so a lock that is taken is that of a server
        if _run_without_server(url, [operation]):
            return True
    job = execute(url, operation)
    if _is_done_within(url, job, patience):
        return True
    with backend.taking_turns(url):  # the server may not have returned
        return _run_without_server(url, [])


def _run_without_server(url: str, operations: Sequence[AccountOperation[int]]) -> bool:
    """Run `operations` and all jobs; return False if a server is running."""
    try:
        store = Store.open(url, limits=Limits(), committed=_settle, login=_login())
    except StartupError:
        return False
    with closing(store):
        for each in operations:
            _run(store, each)
        while not _run(store, RunNextJob()).is_last:
            pass
    return True


def _login() -> str:
    """Return the login name of the operator, also behind `sudo` and `doas`; empty if unknown."""
    for variable in ("SUDO_USER", "DOAS_USER"):
        if name := os.environ.get(variable):
            return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # the system has no name for the user's number
        return ""


def _is_done_within(url: str, job: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not look(url, lambda reader: reader.accounts.is_done(job)):
        if time.monotonic() > deadline:
            return False
        time.sleep(JOB_EVERY)
    return True


def _settle(commit: Commit) -> None:
    for pending in commit.operations:
        pending.settle()


def _run(store: Store, operation: Operation[Result]) -> Result:
    """Run one operation on a store whose commits are settled by `_settle`."""
    outcomes: SimpleQueue[Result | Failure] = SimpleQueue()
    store.submit([PendingCall(operation, outcomes.put, outcomes.put)])
    outcome = outcomes.get()
    if isinstance(outcome, CommandError | StoreUnavailable):
        raise outcome
    return outcome
