"""PostgreSQL connections: addresses, session settings, transactions, errors.

A session that is cut off must not hold the locks of the others: the server ends a transaction that
is idle, and the operating system a connection whose peer is silent.

The writer does not wait for the result of a statement before it sends the next one: a round trip
through a network takes as long as ten statements.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from chat.errors import StartupError
from chat.store.sql import run_driver

__all__ = [
    "check_address",
    "connect",
    "interruption",
    "is_conflict",
    "is_unavailability",
    "name_of",
    "readers_engine",
    "reason_of",
    "setup_engine",
    "writer_engine",
]

CONNECT_SECONDS = 5
"""Seconds that a connection attempt may take."""
IDLE_SECONDS = 5
"""Seconds after which the server ends an idle transaction, and with it the locks of a hung peer."""
LOCK_SECONDS = 10
"""Seconds that a commit waits for those of other servers."""
STATEMENT_SECONDS = 60
PREPARED_MAX = 1_000

_NETWORK: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "primary",  # of several hosts in the address
}
_SESSION = (
    "SET synchronous_commit = on;"
    f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s';"
    f"SET lock_timeout = '{LOCK_SECONDS}s';"
    f"SET statement_timeout = '{STATEMENT_SECONDS}s';"
    "SET client_connection_check_interval = '2s'"
)
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_SYNCS_MAX = 9
"""More than the results that an error may leave unread."""
_NO_LIMITS = "SET lock_timeout = 0; SET statement_timeout = 0"
_CONFLICTS = {"40001", "40P01"}
_UNIQUE = "23505"
_CID = "ix_events_cid"
# Classes: connection, invalid state, transaction state, resources, object state (locks),
# operator, system, internal.
_UNAVAILABLE = {"08", "25", "53", "55", "57", "58", "XX"}


def check_address(url: str) -> None:
    """Check the URL of a database.

    Raises:
        StartupError: it is not one, names no database, or has a password.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as exc:
        raise StartupError(f"the store's URL is wrong: {_line(exc)}") from None
    if given.get("password"):
        raise StartupError(
            "the store's URL has a password, which every user of this machine could read: put it"
            " into a file that PGPASSFILE names, or into PGPASSWORD"
        )
    if not given.get("dbname"):
        raise StartupError("the store's URL names no database: postgresql://host/database")


def name_of(url: str) -> str:
    """Return how messages call the database: without a user or a password."""
    given = conninfo_to_dict(url)
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "this machine"
    return f"the database {given['dbname']} on {host}"


class _PipelinedCursor(psycopg.Cursor[Any]):
    """Waits for its result, and for those of the statements before, only when it is read."""

    @property
    def description(self) -> Any:
        """See `psycopg.Cursor`."""
        self._wait()
        return super().description

    def fetchall(self) -> list[Any]:
        """See `psycopg.Cursor`."""
        self._wait()
        return super().fetchall()

    def _wait(self) -> None:
        assert isinstance(self.connection, _PipelinedConnection)
        if self.pgresult is None:
            self.connection.wait_for_all()


class _PipelinedConnection(psycopg.Connection[Any]):
    """Sends statements without waiting; call `start` first, and begin transactions by `BEGIN`.

    The error of a statement is raised by a later one, by the next result that is read, or by
    `commit`. psycopg itself would wait for the result of `BEGIN`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._open = ExitStack()
        self._statements: psycopg.Pipeline | None = None

    def start(self) -> None:
        """Wait for no statement from now on, except where a result is read."""
        self.autocommit = True
        self.cursor_factory = _PipelinedCursor
        self._statements = self._open.enter_context(self.pipeline())

    def wait_for_all(self) -> None:
        """Wait for the results of all statements.

        Each wait ends with a sync: after a mere flush, PostgreSQL does not count a transaction as
        idle, and would not end that of a hung server.
        """
        if self._statements is not None:
            self._statements.sync()

    def commit(self) -> None:
        """Commit, and wait for all results; if a statement has failed, roll back and raise.

        psycopg's own would not commit: it does not know of a `BEGIN` whose result is not read.
        """
        if self._statements is None:
            super().commit()
            return
        try:
            self.execute("COMMIT")
            self.wait_for_all()
        except psycopg.Error:
            with suppress(psycopg.Error):
                self.rollback()
            raise

    def rollback(self) -> None:
        """Drop all results and errors, and roll back."""
        for _ in range(_SYNCS_MAX):
            with suppress(psycopg.Error):
                self.wait_for_all()
                break
        super().rollback()

    def close(self) -> None:
        """Close the connection; the statements without a result are lost."""
        with suppress(psycopg.Error):
            self._open.close()
        super().close()


_Connected = TypeVar("_Connected", bound=psycopg.Connection[Any])


def connect(url: str, *, has_limits: bool = True, **options: Any) -> psycopg.Connection[Any]:
    """Open a connection; without limits, its statements may take any time.

    Raises:
        psycopg.Error: the server does not accept it.
    """
    return _connect(psycopg.Connection[Any], url, has_limits=has_limits, **options)


def _connect(kind: type[_Connected], url: str, *, has_limits: bool, **options: Any) -> _Connected:
    connection = kind.connect(
        url, autocommit=True, **(_NETWORK | {"application_name": "chat-server"} | options)
    )
    connection.adapters.register_dumper(int, Int8Dumper)  # one plan for small and large numbers
    connection.prepare_threshold = 2
    connection.prepared_max = PREPARED_MAX
    connection.execute(_SESSION, prepare=False)
    if not has_limits:
        connection.execute(_NO_LIMITS, prepare=False)
    connection.autocommit = False
    return connection


def writer_engine(
    url: str, *, check: Callable[[psycopg.Connection[Any]], None] = lambda _: None
) -> Engine:
    """Return an engine for the pipelined transactions of a writer, which sees each commit.

    `check` gets each new connection, and raises `psycopg.OperationalError` to refuse it.
    """

    def creator() -> psycopg.Connection[Any]:
        connection = _connect(_PipelinedConnection, url, has_limits=True)
        check(connection)
        connection.start()
        return connection

    engine = _engine(creator, poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    run_driver(connection, _BEGIN).close()


def setup_engine(url: str) -> Engine:
    """Return an engine for changes of the schema and copies, which may take any time."""

    def creator() -> psycopg.Connection[Any]:
        connection = connect(url, has_limits=False)
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        return connection

    return _engine(creator, poolclass=NullPool)


def readers_engine(url: str, size: int, *, has_limits: bool = True) -> Engine:
    """Return an engine of `size` connections; each transaction is one snapshot, and read-only."""

    def creator() -> psycopg.Connection[Any]:
        connection = connect(url, has_limits=has_limits)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    # A ping before each use finds the connections that a restart of the server has broken.
    return _engine(creator, poolclass=QueuePool, pool_size=size, max_overflow=0, pool_pre_ping=True)


def _engine(creator: Any, **options: Any) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=creator,
        paramstyle="format",
        use_native_hstore=False,
        **options,
    )


def interruption(driver: psycopg.Connection[Any]) -> Any:
    """Return a function that cancels the running query of a connection."""
    return driver.cancel_safe


def _state(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def is_conflict(error: DBAPIError) -> bool:
    """Whether another transaction won: a deadlock, or the same cid at the same time."""
    state = _state(error)
    if state == _UNIQUE:
        diagnostics = getattr(error.orig, "diag", None)
        return getattr(diagnostics, "constraint_name", None) == _CID
    return state in _CONFLICTS


def is_unavailability(error: DBAPIError) -> bool:
    """Whether the connection, the server or its disk caused an error, and not the SQL."""
    state = _state(error)
    if state is None:  # of the driver: the connection is lost
        return isinstance(error, OperationalError)
    return state in _CONFLICTS or state[:2] in _UNAVAILABLE


def reason_of(error: BaseException) -> str:
    """Return why a statement or a connection failed, in one line."""
    return _line(getattr(error, "orig", None) or error)


def _line(error: BaseException) -> str:
    message = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    return " ".join(message.split())
