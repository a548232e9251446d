"""PostgreSQL connections: addresses, session settings, transactions, errors.

A session that is cut off must not hold the locks of the others: the server ends a transaction that
is idle, and the operating system a connection whose peer is silent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import Engine, NullPool, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from chat.errors import StartupError

__all__ = [
    "check_address",
    "connect",
    "interruption",
    "is_conflict",
    "is_unavailability",
    "name_of",
    "readers_engine",
    "reason_of",
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


def connect(url: str, *, has_limits: bool = True, **options: Any) -> psycopg.Connection[Any]:
    """Open a connection; without limits, its statements may take any time.

    Raises:
        psycopg.Error: the server does not accept it.
    """
    connection = psycopg.connect(url, **(_NETWORK | {"application_name": "chat-server"} | options))
    connection.adapters.register_dumper(int, Int8Dumper)  # one plan for small and large numbers
    connection.prepare_threshold = 2
    connection.prepared_max = PREPARED_MAX
    connection.execute(_SESSION, prepare=False)
    if not has_limits:
        connection.execute(_NO_LIMITS, prepare=False)
    connection.commit()
    return connection


def writer_engine(
    url: str,
    *,
    has_limits: bool = True,
    check: Callable[[psycopg.Connection[Any]], None] = lambda _: None,
) -> Engine:
    """Return an engine for the transactions of a writer, which sees each commit of others.

    `check` gets each new connection, and raises `psycopg.OperationalError` to refuse it.
    """

    def creator() -> psycopg.Connection[Any]:
        connection = connect(url, has_limits=has_limits)
        check(connection)
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
