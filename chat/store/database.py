"""Open a database: lock, check, create or migrate it.

One server may use a database. Its lock file is locked until the process ends, however it ends.
Most commands of the operator do not take the lock: they share the database through SQLite's own
locks.

A database may have several names (hard links), each with its own lock file and write-ahead log; two
servers would corrupt it. On Linux the database file itself is locked as well.

The file is checked for damage first, which takes a second for a million messages, unless it is as
an orderly stop left it: its fingerprint is in the lock file. A refused file is left unchanged.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    "NoDatabase",
    "bring_up_to_date",
    "check_is_current",
    "check_is_known",
    "open_database",
    "open_shared",
    "taking_turns",
]


log = logging.getLogger(__name__)

FINGERPRINT_MAX = 1_000
"""Bytes of the lock file that are read."""


class NoDatabase(StartupError):
    """The folder has no database, so it is probably not the one that was meant."""


class FileLock:
    """An exclusive lock on `<database>.lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._guard: int | None = None

    @classmethod
    def take(cls, database: Path) -> Self:
        """Take the lock.

        Raises:
            StartupError: another server uses the database, or the file cannot be created.
        """
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = files.open_or_create(path)
        except OSError as exc:
            raise StartupError(f"cannot open {path}: {files.reason_of(exc, path)}") from None
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
        """Lock the database file itself if it exists; it may have other names.

        Raises:
            StartupError: another server uses it, or it cannot be opened.
        """
        if self._guard is not None or not database.exists():
            return
        try:
            self._guard = os.open(database, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except OSError as exc:
            raise StartupError(
                f"cannot open {database}: {files.reason_of(exc, database)}"
            ) from None
        try:
            _lock_whole(self._guard)
        except OSError:
            raise _in_use(database) from None

    def take_fingerprint(self) -> str:
        """Return and remove the fingerprint that the last orderly stop left; empty if none."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        found = os.read(self._descriptor, FINGERPRINT_MAX)
        os.ftruncate(self._descriptor, 0)
        return found.decode(errors="replace")

    def leave_fingerprint(self, fingerprint: str) -> None:
        """Leave a fingerprint for the next start, if the disk accepts it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, fingerprint.encode())

    def release(self) -> None:
        """Release the lock; idempotent. The lock file stays: removing it would be a race."""
        for descriptor in (self._guard, self._descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._guard = self._descriptor = None


def _in_use(database: Path) -> StartupError:
    return StartupError(
        f"{database} is in use by another chat-server; stop it, or choose another folder with "
        "--data"
    )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _wait_for_folder(folder: Path) -> int | None:
        del folder  # it cannot be opened there

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _wait_for_folder(folder: Path) -> int | None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor


if sys.platform == "linux":
    FAR = 1 << 62
    """Offset of the locked byte; SQLite locks bytes from 1 << 30 on."""

    def _lock_whole(descriptor: int) -> None:
        # A lock of the open file description does not conflict with SQLite's process locks
        # (fcntl(2)). Errors of file systems without such locks are ignored.
        flock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, FAR, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.EACCES):
                raise

else:

    def _lock_whole(descriptor: int) -> None:
        del descriptor


@contextmanager
def taking_turns(database: Path) -> Iterator[None]:
    """Wait until no other command that takes turns works on the folder; not on Windows.

    The lock is that of the folder, not the one that a server takes.
    """
    descriptor = _wait_for_folder(database.parent)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


READERS = 3
"""Reader threads, each with a connection."""
WELCOMERS = 1
"""Threads for the reads of sign-ins, so that history reads do not delay them."""
SEARCHERS = 1
"""Threads for searches, so that they do not delay other reads."""
FEEDS = 1
"""Connections that look for audit entries of other processes."""
SERVER_ID = "server_id"


@dataclass(frozen=True, slots=True)
class Database:
    """An open database and its lock."""

    path: Path
    server_id: str
    writer: Engine
    readers: Engine
    lock: FileLock

    def close(self, *, is_healthy: bool) -> None:
        """Close all connections, then release the lock; idempotent.

        The next start checks the file for damage unless it `is_healthy`.
        """
        self.readers.dispose()
        self.writer.dispose()
        if is_healthy:
            self.lock.leave_fingerprint(engine.fingerprint(self.path))
        self.lock.release()


def open_database(url: str, clock_ms: Callable[[], int]) -> Database:
    """Open or create the database, with its lock.

    Raises:
        StartupError: it cannot be used.
    """
    path = engine.path_of(url)
    try:
        files.make_folder(path.parent)
    except OSError as exc:
        reason = files.reason_of(exc, path.parent)
        raise StartupError(f"cannot create {path.parent}: {reason}") from None
    engine.check_is_writable(path)
    lock = FileLock.take(path)
    try:
        left = lock.take_fingerprint()
        is_intact = bool(left) and left == engine.fingerprint(path)
        revision = engine.examine(path, is_intact=is_intact)
        _create(path)
        files.warn_of_folder(path.parent)
        for each in engine.files_of(path):
            files.tighten(each)
        lock.guard(path)
        # Do not create a file that was removed under a running server: it would be empty.
        writer = engine.writer_engine(path, must_exist=True)
        server_id = _make_current(writer, revision, path, clock_ms)
        readers = engine.readers_engine(path, READERS + WELCOMERS + SEARCHERS + FEEDS)
        return Database(path, server_id, writer, readers, lock)
    except BaseException:
        lock.release()
        raise


def open_shared(url: str) -> Engine:
    """Open an existing, current database without its lock; a server may be using it.

    Raises:
        StartupError: it does not exist, or another version of the program wrote it.
    """
    path = engine.path_of(url)
    check_is_current(path)
    engine.check_is_writable(path)
    return engine.writer_engine(path)


def check_is_current(path: Path) -> None:
    """Check that the database exists and has the schema of this version.

    Raises:
        StartupError: it does not exist, is damaged, or has another schema.
    """
    revision = engine.examine(path)
    if revision is None:
        raise NoDatabase(f"no chat database at {path}; name its folder with --data")
    if revision != REVISION:
        check_is_known(revision, path)
        raise StartupError(
            f"{path} was written by an older version; start the server once to upgrade it"
        )


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
    """Create the file with access for its owner; SQLite uses its mode for the other files."""
    try:
        if not path.exists():
            os.close(files.create(path))
    except OSError as exc:
        raise StartupError(f"cannot create {path}: {files.reason_of(exc, path)}") from None


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
            raise StartupError(f"{path} is damaged: the server's id is missing")
        return str(found)
    except DBAPIError as exc:
        raise StartupError(f"cannot open {path}: {engine.reason_of(exc)}") from None


def _check_index(connection: Connection) -> None:
    """Invalidate a full-text index of another version, so that it is rebuilt."""
    if not fts5.is_current(connection) and fts5.invalidate(connection):
        log.warning("rebuilding the full-text index, which another version wrote")


def _fill(connection: Connection, now: int) -> None:
    """Add the server's id and #general to a new database."""
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
    """Check that the schema is of this version or an older one.

    Raises:
        StartupError: it is of a newer version.
    """
    from chat.store.migrations.run import known_revisions

    if revision not in known_revisions():
        raise StartupError(
            f"{path} was written by a newer version of chat-server; install that version"
        )


def _migrate(connection: Connection) -> None:
    from chat.store.migrations.run import upgrade  # Alembic is slow to import and rarely needed

    upgrade(connection)
