"""The store: the logs on disk, and who may read them. What the server keeps, it keeps here."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.values import Limits
from chat.store import sqlite
from chat.store.opening import READERS, SEARCHERS, WELCOMERS, Database, open_database, open_shared
from chat.store.ops import Pending
from chat.store.reading import Reader
from chat.store.schema import tokens, users
from chat.store.searching import index_unavailable
from chat.store.writer import CLOSED, Batch, Writer
from chat.text import fold

__all__ = ["Store", "issue_token"]

T = TypeVar("T")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Store:
    """All logs, users and memberships of one server.

    Order: operations are carried out in the order of `submit`; within a channel, seq order is
    commit order, without a hole.

    Durability: an outcome is told after its transaction is on disk (`COMMIT` with
    `synchronous=FULL`); it survives `kill -9` and a power cut. What is told as refused or
    unavailable has changed nothing.

    Errors: a refused operation's outcome is its `CommandError`; while the database takes no writes
    (disk full, read-only, locked) what would have written gets `StoreUnavailable`, and the store
    goes on trying. No operation fails its neighbours.

    Threads: `submit`, `read`, `welcome` and `search` may be called from any thread and do not
    block. `committed` is called in the writer's thread, one commit at a time, and should hand over
    quickly: the next commit waits for it. One process may have a database open; see `open`.
    """

    def __init__(self, database: Database, writer: Writer, limits: Limits) -> None:
        self.server_id = database.server_id
        """Random, created with the database, kept for ever."""
        self._database = database
        self._writer = writer
        self._limits = limits
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._welcomers = ThreadPoolExecutor(WELCOMERS, thread_name_prefix="store-welcomer")
        self._searchers = ThreadPoolExecutor(SEARCHERS, thread_name_prefix="store-searcher")

    @classmethod
    def open(
        cls,
        url: str,
        *,
        limits: Limits,
        committed: Callable[[Batch], None],
        clock_ms: Callable[[], int] = _wall_clock_ms,
    ) -> Store:
        """Open the database, creating or migrating it if need be.

        Args:
            url: `sqlite:////path/chat.db`.
            limits: bounds on channels, reactions and unread counts.
            committed: gets every commit's operations with their outcomes, in order, once the
                commit is on disk.
            clock_ms: milliseconds since 1970, for timestamps.

        Raises:
            StartupError: the address is wrong, the file or folder cannot be written, is damaged, no
                chat database, of a newer version, or in use by another server. The file is
                unharmed.
        """
        database = open_database(url, clock_ms)
        return cls(database, Writer(database.writer, limits, committed, clock_ms), limits)

    def submit(self, pending: Pending) -> None:
        """Queue an operation; `committed` will get it with its outcome.

        Raises:
            StoreUnavailable: the store is closed.
        """
        self._writer.submit(pending)

    def read(self, query: Callable[[Reader], T]) -> Future[T]:
        """Run `query` on a snapshot, in a thread of its own.

        The future's errors are those of `query`, and `StoreUnavailable` if the database cannot be
        read, or the store is closed. A damaged full-text index is mended.
        """
        return self._submit(self._readers, query)

    def welcome(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do as `read` does, in a thread that is kept for those who sign in."""
        return self._submit(self._welcomers, query)

    def search(self, query: Callable[[Reader], T]) -> Future[T]:
        """Do as `read` does, in a thread that is kept for what may take long."""
        return self._submit(self._searchers, query)

    def _submit(self, threads: ThreadPoolExecutor, query: Callable[[Reader], T]) -> Future[T]:
        try:
            return threads.submit(self._read, query)
        except RuntimeError:
            failed: Future[T] = Future()
            failed.set_exception(StoreUnavailable(CLOSED))
            return failed

    def healthy(self) -> str | None:
        """Return None, or in one line why the last commit failed."""
        return self._writer.fault

    def close(self) -> None:
        """Commit what was submitted, leave one tidy file, and let go of it; idempotent."""
        self._readers.shutdown()
        self._welcomers.shutdown()
        self._searchers.shutdown()
        self._writer.close()
        self._database.close(is_in_order=self._writer.fault is None)

    def _read(self, query: Callable[[Reader], T]) -> T:
        since = time.monotonic()
        try:
            with self._database.readers.begin() as connection:
                return query(Reader(connection, self._limits))
        except DBAPIError as exc:
            if sqlite.is_of_index(exc.orig):
                self._writer.doubt_index(exc, since)
                raise index_unavailable() from exc
            raise StoreUnavailable(f"the log cannot be read: {sqlite.reason_of(exc)}") from exc


def issue_token(url: str, name: str, token_hash: bytes) -> None:
    """Give `name` another token; works beside a running server.

    Raises:
        CommandError: no_such_user.
        StartupError: there is no such database, or it cannot be written.
        StoreUnavailable: the database takes no writes now.
    """
    engine = open_shared(url)
    try:
        with engine.begin() as connection:
            user_id = connection.scalar(select(users.c.id).where(users.c.fold == fold(name)))
            if user_id is None:
                raise CommandError(ErrorCode.NO_SUCH_USER, f"nobody is called {name}", field="name")
            connection.execute(insert(tokens), {"user_id": user_id, "hash": token_hash})
    except IntegrityError:
        return  # it has this token already
    except DBAPIError as exc:
        reason = sqlite.reason_of(exc)
        raise StoreUnavailable(f"the database takes no writes now: {reason}") from exc
    finally:
        engine.dispose()
