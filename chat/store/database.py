"""Opening a database: lock, examine, create, migrate, or refuse.

The operating system drops it with the process, however that ends. `chat-server token` does not take
it: it shares the database with a running server through SQLite's own locks.

A database may have names in several folders (hard links), each with a lock beside it; SQLite's log,
too, goes by the name, so two servers would destroy it. Where the system can (Linux), the database
file itself is locked as well.

A file that is refused is left as it was found, byte for byte. It is read through first, to see
whether it is damaged: that takes a second for a million messages.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError

from chat import text
from chat.errors import StartupError
from chat.store import files
from chat.store.schema import REVISION, channels, meta
from chat.store.sqlite import engine, fts5

__all__ = [
    "Database",
    "FileLock",
    "bring_up_to_date",
    "check_is_current",
    "check_is_known",
    "open_database",
    "open_shared",
]


log = logging.getLogger(__name__)


class FileLock:
    """A lock that one process holds, on `<database>.lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._guard: int | None = None

    @classmethod
    def take(cls, database: Path) -> Self:
        """Take the lock, or say who has it.

        Raises:
            StartupError: another running server uses the database, or the lock cannot be made.
        """
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = files.open_or_create(path)
        except OSError as exc:
            raise StartupError(f"{path}: {exc.strerror or exc}") from None
        lock = cls(descriptor)
        try:
            _lock(descriptor)
            lock.guard(database)
        except OSError:
            lock.release()
            raise _in_use(database) from None
        except StartupError:
            lock.release()
            raise
        return lock

    def guard(self, database: Path) -> None:
        """Lock the database file itself, if it is there; it may have another name elsewhere.

        Raises:
            StartupError: another running server uses it, or it cannot be opened.
        """
        if self._guard is not None or not database.exists():
            return
        try:
            self._guard = os.open(database, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except OSError as exc:
            raise StartupError(f"{database}: {exc.strerror or exc}") from None
        try:
            _lock_whole(self._guard)
        except OSError:
            raise _in_use(database) from None

    def release(self) -> None:
        """Let others have it; idempotent. The file stays: removing it would race with them."""
        for held in (self._guard, self._descriptor):
            if held is not None:
                os.close(held)
        self._guard = self._descriptor = None


def _in_use(database: Path) -> StartupError:
    return StartupError(
        f"{database} is in use by another running chat-server; stop it, or give another folder"
    )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


if sys.platform == "linux":
    FAR = 1 << 62
    """Where the byte lies that is locked: SQLite locks bytes from 1 << 30 on."""

    def _lock_whole(descriptor: int) -> None:
        # Of the open file description: SQLite's own locks, which belong to the process, are another
        # matter (fcntl(2)). A file system without such locks has no second chat-server either.
        flock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, FAR, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.EACCES):
                raise

else:

    def _lock_whole(descriptor: int) -> None:
        del descriptor


READERS = 3
"""Threads that read, with a connection each."""
WELCOMERS = 1
"""Threads that read for those who sign in, likewise: history makes nobody wait at the door."""
SEARCHERS = 1
"""Threads that search, likewise: whoever looks for much makes nobody wait who reads."""
SERVER_ID = "server_id"


@dataclass(frozen=True, slots=True)
class Database:
    """An open database, and the lock that keeps other servers out of it."""

    path: Path
    server_id: str
    writer: Engine
    readers: Engine
    lock: FileLock

    def close(self) -> None:
        """Close all connections, then let others in; idempotent."""
        self.readers.dispose()
        self.writer.dispose()
        self.lock.release()


def open_database(url: str, clock_ms: Callable[[], int]) -> Database:
    """Open or create the database for the one server that may use it.

    Raises:
        StartupError: it cannot be used; see the module.
    """
    path = engine.path_of(url)
    try:
        files.make_folder(path.parent)
    except OSError as exc:
        raise StartupError(f"{path.parent}: {exc.strerror or exc}") from None
    engine.check_is_writable(path)
    lock = FileLock.take(path)
    try:
        revision = engine.examine(path)
        _create(path)
        files.warn_of_folder(path.parent)
        for each in engine.files_of(path):
            files.tighten(each)
        lock.guard(path)
        # A file that is taken away from a running server is not made anew: it would be empty.
        writer = engine.writer_engine(path, must_exist=True)
        server_id = _make_current(writer, revision, path, clock_ms)
        readers = engine.readers_engine(path, READERS + WELCOMERS + SEARCHERS)
        return Database(path, server_id, writer, readers, lock)
    except BaseException:
        lock.release()
        raise


def open_shared(url: str) -> Engine:
    """Open an existing, current database beside the server that may be using it.

    Raises:
        StartupError: there is none, or another version of the program wrote it.
    """
    path = engine.path_of(url)
    check_is_current(path)
    engine.check_is_writable(path)
    return engine.writer_engine(path)


def check_is_current(path: Path) -> None:
    """Check that there is a database of this version of the program.

    Raises:
        StartupError: there is none, it is damaged, or another version wrote it.
    """
    revision = engine.examine(path)
    if revision is None:
        raise StartupError(f"there is no chat database at {path}; give its folder by --data")
    if revision != REVISION:
        check_is_known(revision, path)
        raise StartupError(f"{path} is of an older version; start the server once, then try again")


def bring_up_to_date(writer: Engine, path: Path) -> None:
    """Migrate an existing database in one transaction.

    Raises:
        StartupError: a newer version wrote it.
    """
    revision = engine.examine(path)
    check_is_known(revision, path)
    with writer.begin() as connection:
        if revision != REVISION:
            _migrate(connection)


def _create(path: Path) -> None:
    """Create the file for its owner only; SQLite gives its other files the same mode."""
    try:
        if not path.exists():
            os.close(files.create(path))
    except OSError as exc:
        raise StartupError(f"{path}: {exc.strerror or exc}") from None


def _make_current(
    writer: Engine, revision: str | None, path: Path, clock_ms: Callable[[], int]
) -> str:
    """Migrate and fill the database in one transaction; return the server's id."""
    if revision not in (None, REVISION):
        check_is_known(revision, path)
    try:
        with writer.begin() as connection:
            if revision != REVISION:
                _migrate(connection)
            if revision is None:
                _fill(connection, clock_ms())
            _check_index(connection)
            found = connection.scalar(select(meta.c.value).where(meta.c.key == SERVER_ID))
        if found is None:
            raise StartupError(f"{path} is damaged: it does not know its server's id")
        return str(found)
    except DBAPIError as exc:
        raise StartupError(f"{path} cannot be opened: {engine.reason_of(exc)}") from None


def _check_index(connection: Connection) -> None:
    """Have the full-text index rebuilt if it is not as this version makes it."""
    if not fts5.is_current(connection) and fts5.invalidate(connection):
        log.warning("the full-text index is of another version; it is rebuilt from the logs")


def _fill(connection: Connection, now: int) -> None:
    """Give a new database its identity, and the channel that everyone joins."""
    engine.mark_as_ours(connection)
    connection.execute(insert(meta), {"key": SERVER_ID, "value": secrets.token_hex(16)})
    connection.execute(
        insert(channels),
        {
            "name": text.GENERAL,
            "fold": text.fold(text.GENERAL),
            "is_direct": False,
            "epoch": secrets.token_hex(8),
            "head": 0,
            "topic": "",
            "member_count": 0,
            "created": now,
        },
    )


def check_is_known(revision: str | None, path: Path) -> None:
    """Check that this version of the program, or an older one, wrote the database.

    Raises:
        StartupError: a newer one did.
    """
    from chat.store.migrations.run import known_revisions

    if revision not in known_revisions():
        raise StartupError(
            f"{path} was written by a newer version of chat-server; install that version"
        )


def _migrate(connection: Connection) -> None:
    from chat.store.migrations.run import upgrade  # Alembic is slow to import, and seldom needed

    upgrade(connection)
