"""Open a SQLite database: lock, check, create or migrate it; the port `backend` for SQLite.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from sqlite3 import ProgrammingError
from typing import Any, Self

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError

from chat import text
from chat.errors import StartupError
from chat.store import files
from chat.store.backend import CONNECTIONS, Backend, Begun, Database, NoDatabase
from chat.store.operations import Delivered, Notice, Operation
from chat.store.schema import REVISION, channels, meta
from chat.store.sqlite import engine, fts5, index_check
from chat.store.sqlite.housekeeping import Housekeeping

__all__ = [
    "BACKEND",
    "FileLock",
    "bring_up_to_date",
    "check_is_current",
    "check_is_known",
    "open_database",
    "unlocked",
]


log = logging.getLogger(__name__)

FINGERPRINT_MAX = 1_000
"""Bytes of the lock file that are read."""


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
def _taking_turns(url: str) -> Iterator[None]:
    """See `Backend`; not on Windows.

    The lock is that of the folder, not the one that a server takes.
    """
    descriptor = _wait_for_folder(engine.path_of(url).parent)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


SERVER_ID = "server_id"


class _Database:
    """An open database and its lock; see `backend.Database`."""

    def __init__(
        self, path: Path, server_id: str, writer: Engine, readers: Engine, lock: FileLock | None
    ) -> None:
        self.name = str(path)
        self.server_id = server_id
        self.writer = self.repairs = writer
        self.readers = readers
        self.checker = engine.checker_engine(path)
        self._path = path
        self._inode = path.stat().st_ino
        self._lock = lock

    def begin(
        self,
        connection: Connection,
        operations: Sequence[Operation[Any]],
        *,
        is_exclusive: bool,
    ) -> Callable[[], Begun]:
        """Return the state; `BEGIN IMMEDIATE` has locked the whole database."""
        del operations, is_exclusive
        begun = Begun((engine.driver_of(connection), engine.data_version(connection)))
        return lambda: begun

    def publish(self, connection: Connection, notice: Notice) -> tuple[object, None]:
        """Return the version, which own commits do not change."""
        del notice
        return (engine.driver_of(connection), engine.data_version(connection)), None

    def event_ids(self, connection: Connection) -> tuple[int, int]:
        """Return all ids after the newest one."""
        return fts5.newest_event(connection) + 1, 1 << 62

    def is_conflict(self, _error: DBAPIError) -> bool:
        """Return false: no other process writes at the same time."""
        return False

    def version(self, connection: Connection) -> object:
        """See `backend.Database`."""
        return engine.data_version(connection)

    def index_changes(self) -> fts5.IndexChanges:
        """See `backend.Database`."""
        return fts5.IndexChanges()

    def lookup(self, connection: Connection) -> fts5.Lookup:
        """See `backend.Database`."""
        return fts5.Lookup(connection)

    def generation(self, _connection: Connection) -> int:
        """Return 0: only one server may use the file."""
        return 0

    def timeline(self, _connection: Connection) -> str:
        """Return nothing: only one server may use the file."""
        return ""

    def renew_epochs(self, _delivered: Sequence[Delivered]) -> list[int]:
        """Return nothing: a server does not run while a backup is restored."""
        return []

    def notices_after(self, _connection: Connection, _generation: int) -> list[Notice]:
        """Return nothing: no other server could have made any."""
        return []

    def housekeeping(self, connect: Callable[[], Connection], index_after: float) -> Housekeeping:
        """See `backend.Database`."""
        return Housekeeping(connect, index_after)

    def interruption(self, connection: Connection) -> Callable[[], None]:
        """See `backend.Database`."""
        driver = engine.driver_of(connection)

        def interrupt() -> None:
            with suppress(ProgrammingError):  # the query ended meanwhile
                driver.interrupt()

        return interrupt

    def is_unavailability(self, error: DBAPIError) -> bool:
        """See `backend.Database`."""
        return engine.is_unavailability(error)

    def is_of_index(self, error: DBAPIError) -> bool:
        """See `backend.Database`."""
        return engine.is_of_index(error.orig)

    def reason_of(self, error: DBAPIError) -> str:
        """See `backend.Database`."""
        return engine.reason_of(error)

    def danger(self) -> str | None:
        """Return a warning if the file was removed or replaced."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                return None
        return (
            "the database file was removed or replaced: messages stored from now on will be lost"
            " when the server stops; put the file back"
        )

    def damages(self, connection: Connection) -> list[str]:
        """See `backend.Database`."""
        return engine.damages(connection)

    def wrongly_indexed(self, connection: Connection) -> set[int]:
        """See `backend.Database`."""
        return index_check.wrongly_indexed(connection)

    def check_is_writable(self) -> None:
        """See `backend.Database`."""
        engine.check_is_writable(self._path)

    def close(self, *, is_healthy: bool = False) -> None:
        """See `backend.Database`."""
        self.checker.dispose()
        self.readers.dispose()
        self.writer.dispose()
        if self._lock is not None:
            if is_healthy:
                self._lock.leave_fingerprint(engine.fingerprint(self._path))
            self._lock.release()


def open_database(url: str, clock_ms: Callable[[], int]) -> _Database:
    """Open or create the database, with its lock; see `Backend.open`."""
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
        readers = engine.readers_engine(path, CONNECTIONS)
        return _Database(path, server_id, writer, readers, lock)
    except BaseException:
        lock.release()
        raise


def unlocked(path: Path) -> _Database:
    """Return an existing, current database without its lock."""
    return _Database(path, "", engine.writer_engine(path), engine.readers_engine(path, 1), None)


def _open_shared(url: str) -> _Database:
    path = engine.path_of(url)
    check_is_current(path)
    return unlocked(path)


def _reindex(url: str) -> None:
    path = engine.path_of(url)
    check_is_current(path)
    engine.check_is_writable(path)
    lock = FileLock.take(path)
    writer = engine.writer_engine(path)
    try:
        with writer.begin() as connection:
            index_check.rebuild(connection)
        with writer.connect() as connection:
            engine.truncate_wal(connection)  # remove the old index from the disk
    except DBAPIError as exc:
        raise StartupError(f"{path} was not indexed: {engine.reason_of(exc)}") from None
    finally:
        writer.dispose()
        lock.release()


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
    if not fts5.is_created(connection):
        fts5.create(connection)


class _Sqlite:
    """See `Backend`."""

    open = staticmethod(open_database)
    open_shared = staticmethod(_open_shared)
    reindex = staticmethod(_reindex)
    taking_turns = staticmethod(_taking_turns)

    @staticmethod
    def copy_from(source: Database, url: str) -> None:
        """Refuse it: see `Backend`."""
        del source
        raise StartupError(f"the target must be a URL like postgresql://host/database, not {url!r}")

    @staticmethod
    def check_is_current(url: str) -> None:
        """See `Backend`."""
        check_is_current(engine.path_of(url))


BACKEND: Backend = _Sqlite()
