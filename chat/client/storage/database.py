"""A SQLite file that several clients may open: opening, transactions, typed errors.

An account has two of them: `outbox_db` and `cache_db`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chat.client.model.records import DamagedFile, DiskError
from chat.client.storage.private_files import make_private_directory, open_private
from chat.errors import StartupError

__all__ = ["BUSY", "PARTS", "Database", "Tables", "delete_database", "version_of"]

BUSY = 5.0
"""Seconds to wait while another client writes to the file."""
BUSY_RETRY = 0.01
"""Seconds between two attempts where SQLite does not wait by itself."""
CACHE_KIB = 512
"""Page cache of a file; SQLite's default of 2 MB would mostly hold pages that are read once."""
OPENINGS = 10
"""Attempts to open a file that another client keeps replacing."""
PARTS = ("", "-wal", "-shm")
"""Suffixes of the files of a database."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file.

    Args:
        version: stored in the file.
        script: creates them; statements end with `;` and a new line.
        synchronous: `FULL`: a commit is on disk when it returns; `NORMAL`: a power failure may undo
            the last commits, but never part of one.
    """

    version: int
    script: str
    synchronous: Literal["FULL", "NORMAL"]

    def create(self, db: sqlite3.Connection) -> None:
        """Create the tables in the open transaction."""
        for statement in self.script.split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={self.version}")


class Database:
    """An open file; used by one thread.

    Args:
        path: created if it is missing.
        tables: created in a new file.
        timeout: seconds to wait for a lock while opening.
        unwritable: why the file is not writable, if that is known. Then it is opened read-only as
            far as possible, and every write raises `DiskError`.

    Raises:
        StartupError: the file was written by a newer version.
        DiskError: (opening, and every write) the disk is not accepting writes.
        DamagedFile: (opening, and everything else) the file is damaged or gone.
    """

    def __init__(
        self, path: Path, tables: Tables, *, timeout: float = BUSY, unwritable: str = ""
    ) -> None:
        self.path = path
        self.unwritable = unwritable
        self._tables = tables
        self._timeout = timeout
        self._data_version = 0
        if unwritable:
            self.db = self._open_read_only()
            return
        try:
            make_private_directory(path.parent)
        except StartupError as exc:
            raise DiskError(str(exc)) from exc
        for _ in range(OPENINGS):
            self.db = self._connect()
            try:
                with self.reading():
                    self._prepare()
                    self.db.execute(f"PRAGMA busy_timeout={int(BUSY * 1000)}").fetchall()
                return
            except (DamagedFile, DiskError) as exc:
                error = exc
                self.db.close()
            except StartupError:
                self.db.close()
                raise
            if self.exists:  # otherwise another client has just replaced it
                break
        raise error

    def _connect(self) -> sqlite3.Connection:
        try:
            file = open_private(self.path, os.O_CREAT | os.O_RDWR)
            self._inode = os.fstat(file).st_ino
            os.close(file)
            return sqlite3.connect(self.path, isolation_level=None, timeout=self._timeout)
        except OSError as exc:
            raise DiskError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc
        except sqlite3.Error as exc:
            raise DiskError(f"cannot open {self.path}: {exc}") from exc

    def _open_read_only(self) -> sqlite3.Connection:
        # Reading a WAL may need a file that cannot be created, and the file may be locked;
        # `immutable` ignores both.
        can_be_read = False
        with contextlib.suppress(OSError):  # the folder may be closed to this user
            can_be_read = self.path.is_file() and not self.path.is_symlink()  # a pipe would block
        for query in ("mode=ro", "mode=ro&immutable=1") if can_be_read else ():
            uri = f"{self.path.absolute().as_uri()}?{query}"
            db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
            with contextlib.suppress(sqlite3.Error):
                if version_of(db) == self._tables.version:
                    return db
            db.close()
        empty = sqlite3.connect(":memory:", isolation_level=None)
        self._tables.create(empty)
        return empty

    def _prepare(self) -> None:
        version = version_of(self.db)
        if version > self._tables.version:  # before anything is changed
            raise StartupError(f"{self.path} was written by a newer chat-client; update this one")
        self._switch_to_wal()
        for pragma in (
            f"synchronous={self._tables.synchronous}",
            "secure_delete=ON",
            f"cache_size=-{CACHE_KIB}",
        ):
            self.db.execute(f"PRAGMA {pragma}").fetchall()
        if (
            version < self._tables.version
        ):  # only if needed: a full disk rejects even an empty transaction
            with self.writing():
                if version_of(self.db) < self._tables.version:
                    self._tables.create(self.db)

    def _switch_to_wal(self) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self.db.execute("PRAGMA journal_mode=WAL").fetchall()
            except sqlite3.OperationalError as exc:
                busy = exc.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                # SQLite's busy timeout does not apply to this statement, and SQLite has no call
                # that waits for a lock: two clients that start together would fail. So it is
                # retried, at most `timeout` seconds; this thread has nothing to do before.
                time.sleep(BUSY_RETRY)
            else:
                return

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def has_changed_elsewhere(self) -> bool:
        """Whether another client has written to the file since the last call."""
        with self.reading():
            (version,) = self.db.execute("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, version
        return bool(version != before)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        with self.reading():
            return self.db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction; it is rolled back if anything fails."""
        if self.unwritable:
            raise DiskError(self.unwritable)
        if not self.exists:  # a write to a deleted file would be lost
            raise DamagedFile(f"{self.path} no longer exists")
        with self.reading():
            try:
                self.db.execute("BEGIN IMMEDIATE")
                yield self.db
                self.db.execute("COMMIT")
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    @property
    def exists(self) -> bool:
        """Whether the open file still has its name, so nobody has deleted or renamed it."""
        if self.unwritable:
            return False
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Convert SQLite's errors to `DiskError` (temporary) or `DamagedFile`."""
        try:
            yield
        except (sqlite3.DatabaseError, ValueError) as exc:  # ValueError: a row cannot be decoded
            if not _is_damage(exc):
                raise DiskError(f"cannot write to {self.path}: {exc}") from exc
            if self.unwritable:  # another program may be writing to it
                raise DiskError(f"cannot read {self.path}: {exc}") from exc
            raise DamagedFile(f"{self.path} is damaged: {exc}") from exc


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 for a new file."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def delete_database(path: Path) -> None:
    """Delete a closed database with all its files."""
    for part in PARTS:
        Path(f"{path}{part}").unlink(missing_ok=True)


def _is_damage(error: Exception) -> bool:
    """Whether an error means that the file is damaged."""
    if not isinstance(error, sqlite3.OperationalError):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # SQLITE_ERROR: a table is missing or has other columns.
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
