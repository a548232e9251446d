"""From an address to a database that can be used: lock, examine, create, migrate, or refuse.

A file that is refused is left as it was found, byte for byte. It is read through, to see whether it
is damaged, unless it is as a server left it that ended in good order: that takes 0.4 s for a
million messages.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError

from chat import text
from chat.errors import StartupError
from chat.store import files, renewing, sqlite
from chat.store.locking import FileLock
from chat.store.schema import REVISION, channels, meta

__all__ = [
    "Database",
    "bring_up_to_date",
    "check_is_current",
    "check_is_known",
    "open_database",
    "open_shared",
]

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

    def close(self, *, is_in_order: bool) -> None:
        """Close all connections, then let others in; idempotent.

        Args:
            is_in_order: nothing failed, so the file need not be read through by who opens it next.
        """
        self.readers.dispose()
        self.writer.dispose()
        if is_in_order:
            self.lock.leave_note(sqlite.stamp(self.path))
        self.lock.release()


def open_database(url: str, clock_ms: Callable[[], int]) -> Database:
    """Open or create the database for the one server that may use it.

    Raises:
        StartupError: it cannot be used; see the module.
    """
    path = sqlite.path_of(url)
    try:
        files.make_folder(path.parent)
    except OSError as exc:
        raise StartupError(f"{path.parent}: {exc.strerror or exc}") from None
    sqlite.check_is_writable(path)
    lock = FileLock.take(path)
    try:
        note = lock.take_note()
        is_as_left = bool(note) and note == sqlite.stamp(path)
        revision = sqlite.examine(path, is_known_whole=is_as_left)
        _create(path)
        files.warn_of_folder(path.parent)
        for each in sqlite.files_of(path):
            files.tighten(each)
        lock.guard(path)
        # A file that is taken away from a running server is not made anew: it would be empty.
        writer = sqlite.writer_engine(path, must_exist=True)
        server_id = _make_current(writer, revision, path, clock_ms)
        readers = sqlite.readers_engine(path, READERS + WELCOMERS + SEARCHERS)
        return Database(path, server_id, writer, readers, lock)
    except BaseException:
        lock.release()
        raise


def open_shared(url: str) -> Engine:
    """Open an existing, current database beside the server that may be using it.

    Raises:
        StartupError: there is none, or another version of the program wrote it.
    """
    path = sqlite.path_of(url)
    check_is_current(path)
    sqlite.check_is_writable(path)
    return sqlite.writer_engine(path)


def check_is_current(path: Path) -> None:
    """Check that there is a database of this version of the program.

    Raises:
        StartupError: there is none, it is damaged, or another version wrote it.
    """
    revision = sqlite.examine(path)
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
    revision = sqlite.examine(path)
    check_is_known(revision, path)
    with writer.begin() as connection:
        if revision != REVISION:
            _migrate(connection)
        renewing.prepare(connection)


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
            renewing.prepare(connection)
            found = connection.scalar(select(meta.c.value).where(meta.c.key == SERVER_ID))
        if found is None:
            raise StartupError(f"{path} is damaged: it does not know its server's id")
        return str(found)
    except DBAPIError as exc:
        raise StartupError(f"{path} cannot be opened: {sqlite.reason_of(exc)}") from None


def _fill(connection: Connection, now: int) -> None:
    """Give a new database its identity, and the channel that everyone joins."""
    sqlite.mark_as_ours(connection)
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
    from chat.store.migrating import known_revisions

    if revision not in known_revisions():
        raise StartupError(
            f"{path} was written by a newer version of chat-server; install that version"
        )


def _migrate(connection: Connection) -> None:
    from chat.store.migrating import upgrade  # Alembic is slow to import, and seldom needed

    upgrade(connection)
