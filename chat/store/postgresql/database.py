"""Open a database on PostgreSQL: create its tables, lock commits; the port `backend`.

Any number of servers share a database. A commit takes an advisory lock first: shared if it only
appends to logs or changes rows of a member, exclusive if it changes who someone is or what they
may do (`Transaction.claim`). A shared commit then locks the rows of its channels in the order of
their ids, and reads everything else in later statements: a statement that waits for a lock does not
see what was committed meanwhile. So the order of seqs is the order of commits, and two commits
cannot wait for each other.

A commit of messages takes two round trips: locks, heads, generation and the cids that were used
before; then rows, heads, index and `COMMIT`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from chat.errors import CommandError, StartupError
from chat.store.backend import CONNECTIONS, Backend, Begun, Database, NoDatabase
from chat.store.operations import ChannelOperation, Delivered, Notice, Operation
from chat.store.postgresql import engine, failover, notices
from chat.store.postgresql.index import IndexChanges, Lookup, rebuild, wrongly_indexed
from chat.store.postgresql.tables import (
    COMMIT_LOCK,
    EVENT_IDS,
    MIGRATION_LOCK,
    SERVER_ID,
    copy_rows,
    create,
    create_tables,
    revision_of,
)
from chat.store.rights import channel_key
from chat.store.schema import REVISION
from chat.store.sql import Prepared, Rows, run_driver

__all__ = ["BACKEND"]

log = logging.getLogger(__name__)

OLDEST = 150_000
"""The oldest supported version, PostgreSQL 15."""
HOUSEKEEPING_EVERY = 600.0
"""Seconds between removals of old notices."""

_LOCK_SHARED = f"SELECT pg_advisory_xact_lock_shared({COMMIT_LOCK})"
_LOCK_EXCLUSIVE = f"SELECT pg_advisory_xact_lock({COMMIT_LOCK})"
_HEADS = Prepared(
    text("SELECT fold, head FROM channels WHERE fold = ANY(:folds) ORDER BY id FOR NO KEY UPDATE")
)
_STATE = Prepared(
    text(
        "SELECT value::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        " FROM meta WHERE key = 'generation'"
    )
)
_NEXT_IDS = Prepared(text("SELECT nextval('event_ids')"))
_SERVER_ID = text("SELECT value FROM meta WHERE key = :key")
_key = lru_cache(maxsize=4_096)(channel_key)


class _Housekeeping:
    """Removes old notices; see `backend.Housekeeping`."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._at = time.monotonic() + HOUSEKEEPING_EVERY

    @property
    def at(self) -> float:
        """See `backend.Housekeeping`."""
        return self._at

    def committed(self, newest_event: int, *, has_erased: bool) -> None:
        """Do nothing: messages are indexed at once, and VACUUM purges."""

    def step(self) -> None:
        """See `backend.Housekeeping`."""
        if time.monotonic() >= self._at:
            self._at = time.monotonic() + HOUSEKEEPING_EVERY
            with suppress(DBAPIError), self._connect().begin() as transaction:
                notices.remove_old(transaction.connection, time.time_ns() // 1_000_000)

    def finish(self) -> None:
        """See `backend.Housekeeping`."""

    def rebuild_index(self, error: DBAPIError, since: float) -> bool:
        """Return false: an error of the index is one of the database."""
        del error, since
        return False


class _Database:
    """See `backend.Database`."""

    def __init__(self, url: str, server_id: str, connections: int) -> None:
        self.name = engine.name_of(url)
        self.server_id = server_id
        self.writer: Engine = engine.writer_engine(url, check=failover.check_timeline)
        self.repairs: Engine = engine.writer_engine(url)
        self.readers: Engine = engine.readers_engine(url, connections)
        self.checker: Engine = engine.readers_engine(url, 1, has_limits=False)

    def begin(
        self, connection: Connection, operations: Sequence[Operation[Any]], *, is_exclusive: bool
    ) -> Callable[[], Begun]:
        """See `backend.Database`."""
        heads: Callable[[], Rows] = tuple
        if is_exclusive:
            run_driver(connection, _LOCK_EXCLUSIVE).close()
        else:
            run_driver(connection, _LOCK_SHARED).close()
            if folds := _folds_of(operations):
                heads = _HEADS.start(connection, folds=folds)
        state = _STATE.start(connection)

        def begun() -> Begun:
            known = dict(heads())
            ((generation, now),) = state()
            return Begun(generation, known, is_exclusive, now)

        return begun

    def publish(self, connection: Connection, notice: Notice) -> tuple[object, Notice]:
        """See `backend.Database`."""
        published = notices.publish(connection, notice)
        return published.generation, published

    def event_ids(self, connection: Connection) -> tuple[int, int]:
        """See `backend.Database`."""
        first = int(_NEXT_IDS.scalar(connection))
        return first, first + EVENT_IDS

    def is_conflict(self, error: DBAPIError) -> bool:
        """See `backend.Database`."""
        return engine.is_conflict(error)

    def version(self, connection: Connection) -> object:
        """See `backend.Database`."""
        with connection.begin():
            return notices.generation(connection)

    def generation(self, connection: Connection) -> int:
        """See `backend.Database`."""
        return notices.generation(connection)

    def timeline(self, connection: Connection) -> str:
        """See `backend.Database`."""
        return failover.timeline(connection)

    def renew_epochs(self, delivered: Sequence[Delivered]) -> list[int]:
        """See `backend.Database`."""
        return failover.renew_epochs(self.repairs, delivered)

    def notices_after(self, connection: Connection, generation: int) -> list[Notice] | None:
        """See `backend.Database`."""
        return notices.notices_after(connection, generation)

    def index_changes(self) -> IndexChanges:
        """See `backend.Database`."""
        return IndexChanges()

    def lookup(self, connection: Connection) -> Lookup:
        """See `backend.Database`."""
        return Lookup(connection)

    def housekeeping(self, connect: Callable[[], Connection], index_after: float) -> _Housekeeping:
        """See `backend.Database`."""
        del index_after
        return _Housekeeping(connect)

    def interruption(self, connection: Connection) -> Callable[[], None]:
        """See `backend.Database`."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)

        def interrupt() -> None:
            with suppress(psycopg.Error):  # the connection is lost: the query has ended
                driver.cancel_safe(timeout=1)

        return interrupt

    def is_unavailability(self, error: DBAPIError) -> bool:
        """See `backend.Database`."""
        return engine.is_unavailability(error)

    def is_of_index(self, error: DBAPIError) -> bool:
        """Return false: an error of the index is one of the database."""
        del error
        return False

    def reason_of(self, error: DBAPIError) -> str:
        """See `backend.Database`."""
        return engine.reason_of(error)

    def danger(self) -> str | None:
        """Return None: PostgreSQL refuses to write what it cannot keep."""
        return None

    def damages(self, connection: Connection) -> list[str]:
        """Return nothing: PostgreSQL checks each page that it reads if it has checksums."""
        del connection
        return []

    def wrongly_indexed(self, connection: Connection) -> set[int]:
        """See `backend.Database`."""
        return wrongly_indexed(connection)

    def check_is_writable(self) -> None:
        """Do nothing: the first statement tells."""

    def close(self, *, is_healthy: bool = False) -> None:
        """See `backend.Database`."""
        del is_healthy
        self.checker.dispose()
        self.readers.dispose()
        self.repairs.dispose()
        self.writer.dispose()


def _folds_of(operations: Sequence[Operation[Any]]) -> list[str]:
    folds: set[str] = set()
    for operation in operations:
        if isinstance(operation, ChannelOperation):
            with suppress(CommandError):  # the rule refuses it later
                folds.add(_key(operation.channel))
    return list(folds)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Open a connection without time limits, in a transaction; translate its errors.

    Raises:
        StartupError: the database cannot be used.
    """
    engine.check_address(url)
    opened = engine.setup_engine(url)
    try:
        with opened.begin() as connection:
            yield connection
    except (DBAPIError, psycopg.Error) as exc:
        raise StartupError(
            f"{engine.name_of(url)} cannot be opened: {engine.reason_of(exc)}"
        ) from None
    finally:
        opened.dispose()


def _check_server(connection: Connection, url: str) -> None:
    """Check the version and the settings of the server.

    Raises:
        StartupError: names what to change.
    """

    def setting(name: str) -> str:
        return str(connection.scalar(text("SELECT current_setting(:name)"), {"name": name}))

    if int(setting("server_version_num")) < OLDEST:
        raise StartupError(
            f"PostgreSQL {setting('server_version')} is too old; chat-server needs 15 or newer"
        )
    if setting("fsync") != "on":
        raise StartupError(
            f"{engine.name_of(url)} would lose messages in a power cut: its server runs with"
            " fsync=off; set fsync=on in postgresql.conf"
        )
    if setting("server_encoding") != "UTF8":
        raise StartupError(
            f"{engine.name_of(url)} has the encoding {setting('server_encoding')}: create it with"
            " ENCODING 'UTF8'"
        )


def _check_revision(revision: str | None, url: str) -> None:
    """Check that the schema is that of this version.

    Raises:
        StartupError: another version of the program wrote it.
    """
    if revision == REVISION:
        return
    from chat.store.migrations.run import known_revisions  # slow to import, and rarely needed

    if revision in known_revisions():
        raise StartupError(
            f"{engine.name_of(url)} was written by an older version; start the server once to"
            " upgrade it"
        )
    raise StartupError(
        f"{engine.name_of(url)} was written by a newer version of chat-server; install that version"
    )


class _Postgresql:
    """See `Backend`."""

    def open(self, url: str, clock_ms: Callable[[], int]) -> _Database:
        """See `Backend`; servers that start at the same time take turns."""
        with _connected(url) as connection:
            _check_server(connection, url)
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            revision = revision_of(connection)
            if revision is None:
                create(connection, clock_ms())
            else:
                _check_revision(revision, url)
            server_id = str(connection.scalar(_SERVER_ID, {"key": SERVER_ID}))
        return _Database(url, server_id, CONNECTIONS)

    def open_shared(self, url: str) -> _Database:
        """See `Backend`."""
        self.check_is_current(url)
        return _Database(url, "", 1)

    def check_is_current(self, url: str) -> None:
        """See `Backend`."""
        with _connected(url) as connection:
            revision = revision_of(connection)
        if revision is None:
            raise NoDatabase(f"{engine.name_of(url)} has no tables of chat-server; check --store")
        _check_revision(revision, url)

    def copy_from(self, source: Database, url: str) -> None:
        """See `Backend`."""
        with _connected(url) as connection:
            _check_server(connection, url)
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            if revision_of(connection) is not None:
                raise StartupError(
                    f"{engine.name_of(url)} is not empty: create another one, or remove its tables"
                )
            create_tables(connection)
            with source.checker.begin() as reading:
                copy_rows(reading, connection)
            rebuild(connection)
            connection.execute(text("ANALYZE"))

    def reindex(self, url: str) -> None:
        """See `Backend`; servers may be running, and wait."""
        self.check_is_current(url)
        with _connected(url) as connection:
            run_driver(connection, _LOCK_EXCLUSIVE).close()
            rebuild(connection)

    @contextmanager
    def taking_turns(self, url: str) -> Iterator[None]:
        """Do nothing: the locks of commits suffice."""
        del url
        yield


BACKEND: Backend = _Postgresql()
