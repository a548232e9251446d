"""The store: writes through one thread, reads through a pool."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Self, TypeVar

from sqlalchemy import Connection, insert, literal, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from chat.errors import CommandError, ErrorCode, StoreFault, StoreUnavailable
from chat.protocol.values import Limits
from chat.store.database import READERS, SEARCHERS, WELCOMERS, Database, open_database, open_shared
from chat.store.operations import Batch, Commit
from chat.store.read.reader import Reader
from chat.store.schema import metadata, tokens, users
from chat.store.search.search import index_unavailable
from chat.store.sqlite import engine as sqlite
from chat.store.sqlite.housekeeping import INDEX_AFTER
from chat.store.write.writer import CLOSED, PROBE_EVERY, Writer
from chat.text import fold

__all__ = ["Store", "issue_token"]

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_EVERY = 2.0
"""Seconds between checks of whether the database can be read."""
FAULT_STAYS = 10.0
"""Seconds that a failed read counts as a fault: the check may miss a broken page."""
INTERRUPT_EVERY = 0.01


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Store:
    """All logs, users and memberships of one server.

    Order: operations are carried out in the order of `submit`; within a channel, seq order is
    commit order, without a hole.

    Durability: `committed` gets an operation after its transaction is on disk (`COMMIT` with
    `synchronous=FULL`); it survives `kill -9` and a power cut. An operation that failed has changed
    nothing.

    Errors: the failure of a refused operation is its `CommandError`. While the database takes no
    writes (disk full, read-only, locked) operations that would have written fail with
    `StoreUnavailable`, and the store goes on trying. No operation fails its neighbors.

    Threads: `submit`, `read`, `welcome` and `search` may be called from any thread and do not
    block. `committed` is called in the writer's thread, one commit at a time, and should hand over
    quickly: the next commit waits for it. One process may have a database open; see `open`.
    """

    def __init__(self, database: Database, writer: Writer, limits: Limits) -> None:
        self.server_id = database.server_id
        """Random, created with the database, kept for ever."""
        self._database = database
        self._writer = writer
        self.submit: Callable[[Batch], None] = writer.submit
        """Queues operations; `committed` gets each with its result or its failure.

        Raises `StoreUnavailable` if the store is closed; nothing was queued then.
        """
        self._limits = limits
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._welcomers = ThreadPoolExecutor(WELCOMERS, thread_name_prefix="store-welcomer")
        self._searchers = ThreadPoolExecutor(SEARCHERS, thread_name_prefix="store-searcher")
        self._searching: set[sqlite3.Connection] = set()
        """Connections that a search runs on: closing does not wait for its end."""
        self._is_closing = False
        self._reading = _Reading(database)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        limits: Limits,
        committed: Callable[[Commit], None],
        clock_ms: Callable[[], int] = _wall_clock_ms,
        index_after: float = INDEX_AFTER,
        probe_every: float = PROBE_EVERY,
    ) -> Self:
        """Open the database, creating or migrating it if need be.

        Args:
            url: `sqlite:////path/chat.db`.
            limits: bounds on channels, reactions and unread counts.
            committed: gets every commit once it is on disk.
            clock_ms: milliseconds since 1970, for timestamps.
            index_after: seconds from a commit to the indexing of its messages for `search`, which
                finds them before that too.
            probe_every: seconds between two attempts to write while the last one failed.

        Raises:
            StartupError: the address is wrong, the file or folder cannot be written, is damaged, no
                chat database, of a newer version, or in use by another server. The file is
                unharmed.
        """
        database = open_database(url, clock_ms)
        writer = Writer(database.writer, limits, committed, clock_ms, index_after, probe_every)
        return cls(database, writer, limits)

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """Run `query` on a snapshot, in a thread of its own.

        The future's errors are those of `query`, `StoreFault` for a mistake in our own SQL, and
        `StoreUnavailable` if the database cannot be read, or the store is closed. A future that had
        not begun when the store was closed is cancelled. A damaged full-text index is rebuilt.
        """
        return self._submit(self._readers, self._read, query)

    def welcome(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do as `read` does, in a thread that is kept for those who sign in."""
        return self._submit(self._welcomers, self._read, query)

    def search(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do as `read` does, in a thread that is kept for what may take long."""
        return self._submit(self._searchers, self._search, query)

    def _submit(
        self,
        threads: ThreadPoolExecutor,
        run: Callable[[Callable[[Reader], T]], T],
        query: Callable[[Reader], T],
    ) -> Future[T]:
        try:
            return threads.submit(run, query)
        except RuntimeError:
            failed: Future[T] = Future()
            failed.set_exception(StoreUnavailable(CLOSED))
            return failed

    def healthy(self) -> str | None:
        """Return None, or in one line why the last commit, or a recent reading, failed."""
        return self._reading.fault or self._writer.fault

    def look(self) -> None:
        """Find out soon whether the database can be read, for `healthy`; call it now and then."""
        if self._reading.is_due():
            with suppress(RuntimeError):  # closed
                self._welcomers.submit(self._reading.look)

    def close(self) -> None:
        """Commit what was submitted, leave one tidy file, and let go of it; idempotent.

        Readings that have begun come to their end; searches do not, and what waits does not begin.
        """
        self._is_closing = True
        every = (self._readers, self._welcomers, self._searchers)
        for threads in every:
            threads.shutdown(wait=False, cancel_futures=True)
        while running := tuple(self._searching):
            for connection in running:
                with suppress(sqlite3.ProgrammingError):  # it has ended at this moment
                    connection.interrupt()
            time.sleep(INTERRUPT_EVERY)
        for threads in every:
            threads.shutdown()
        self._writer.close()
        self._database.close()

    def _read(self, query: Callable[[Reader], T]) -> T:
        return self._run(lambda connection: query(Reader(connection, self._limits)))

    def _search(self, query: Callable[[Reader], T]) -> T:
        def run(connection: Connection) -> T:
            driver = sqlite.driver_of(connection)
            self._searching.add(driver)
            try:
                if self._is_closing:
                    raise StoreUnavailable(CLOSED)
                return query(Reader(connection, self._limits))
            finally:
                self._searching.discard(driver)

        return self._run(run)

    def _run(self, query: Callable[[Connection], T]) -> T:
        since = time.monotonic()
        try:
            with self._database.readers.begin() as connection:
                return query(connection)
        except DBAPIError as exc:
            if sqlite.is_of_index(exc.orig):
                self._writer.rebuild_index(exc, since)
                raise index_unavailable() from exc
            reason = sqlite.reason_of(exc)
            if not sqlite.is_unavailability(exc):
                raise StoreFault(f"a read failed: {reason}") from exc
            self._reading.failed(reason)
            raise StoreUnavailable(f"cannot read the database: {reason}") from exc


class _Reading:
    """Whether the database can be read, by what readings came to; used by several threads."""

    def __init__(self, database: Database) -> None:
        self.fault: str | None = None
        """Why a reading failed a short while ago, in one line."""
        self._readers = database.readers
        self._path = database.path
        self._inode = database.path.stat().st_ino
        self._looked_at = float("-inf")
        self._failed_at = float("-inf")

    def is_due(self) -> bool:
        """Whether it is time to look again; if so, the time begins anew."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY:
            return False
        self._looked_at = now
        return True

    def look(self) -> None:
        """See whether the file is still in its place, and read a row of every table."""
        try:
            if self._path.stat().st_ino != self._inode:
                raise FileNotFoundError
            with self._readers.begin() as connection:
                for table in metadata.sorted_tables:
                    connection.execute(select(literal(1)).select_from(table).limit(1)).all()
        except FileNotFoundError:
            self.failed(
                "the database file was removed or replaced; new messages are lost at shutdown"
            )
        except DBAPIError as exc:
            self.failed(sqlite.reason_of(exc))
        else:
            self._succeeded()

    def failed(self, reason: str) -> None:
        """Note that a reading failed."""
        self._failed_at = time.monotonic()
        if self.fault is None:  # once: each reading may fail
            log.error("cannot read %s: %s", self._path, reason)
        self.fault = reason

    def _succeeded(self) -> None:
        if self.fault is not None and time.monotonic() - self._failed_at >= FAULT_STAYS:
            log.warning("%s can be read again", self._path)
            self.fault = None


def issue_token(url: str, name: str, token_hash: bytes) -> None:
    """Give `name` another token; works beside a running server.

    Raises:
        CommandError: no_such_user.
        StartupError: there is no such database, or it cannot be written.
        StoreUnavailable: the database is not accepting writes.
    """
    engine = open_shared(url)
    try:
        with engine.begin() as connection:
            user_id = connection.scalar(select(users.c.id).where(users.c.fold == fold(name)))
            if user_id is None:
                raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user {name}", field="name")
            connection.execute(insert(tokens), {"user_id": user_id, "hash": token_hash})
    except IntegrityError:
        return  # it has this token already
    except DBAPIError as exc:
        reason = sqlite.reason_of(exc)
        raise StoreUnavailable(f"the database is not accepting writes: {reason}") from exc
    finally:
        engine.dispose()
