"""SQLite connections: files, pragmas, transactions, checkpoints, errors.

The driver's transaction handling is off (`isolation_level=None`): SQLAlchemy begins transactions,
the writer's with the write lock, a reader's as one snapshot.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from chat.errors import StartupError
from chat.store import files
from chat.store.backend import Damaged
from chat.store.sql import run_driver

__all__ = [
    "DamagedFile",
    "Unusable",
    "check_is_writable",
    "checker_engine",
    "copy_running",
    "copy_still",
    "damages",
    "data_version",
    "driver_of",
    "examine",
    "files_of",
    "fingerprint",
    "is_of_index",
    "is_unavailability",
    "mark_as_ours",
    "path_of",
    "readers_engine",
    "reason_of",
    "settle",
    "truncate_wal",
    "writer_engine",
]

APPLICATION_ID = 0x63686174  # "chat", in the file's header
BUSY_SECONDS = 2.0
"""Seconds that a statement waits for another process's lock (`chat-server token`).

A command may wait twice as long, behind a commit that timed out, and must be answered before the
client's timeout.
"""
CHECKPOINT_MS = 5
"""Milliseconds that a checkpoint waits for readers; commits wait as long.

Most reads are shorter; a longer wait would not help against long ones such as a backup.
"""
OLDEST = (3, 35, 0)

_SCHEME = "sqlite:///"
_COMMON = ("foreign_keys=ON",)
_WRITER = (
    *_COMMON,
    "journal_mode=WAL",
    "synchronous=FULL",
    "fullfsync=ON",  # macOS: flush the disk's cache as well
    "checkpoint_fullfsync=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",  # no texts in temporary files
    "cache_size=-32768",
)
_READER = (*_COMMON, "query_only=ON", "temp_store=MEMORY", "cache_size=-8192")
# A check sorts numbers, never texts; there may be more of them than fit into memory.
_CHECKER = (*_COMMON, "query_only=ON", "temp_store=FILE", "cache_size=-32768")
# Messages of SQLite 3.44 and later, and those of all versions if the index cannot be opened.
_OF_INDEX = re.compile("fts5|vtable constructor failed: search", re.IGNORECASE)
_UNAVAILABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
# Without virtual tables: newer versions of SQLite would read the whole full-text index.
_BTREES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
DAMAGES_MAX = 100
"""Most reported problems; one broken page can cause thousands."""


class Unusable(StartupError):
    """A file that is not a sound chat database; `finding` is the message without the advice."""

    def __init__(self, finding: str, advice: str) -> None:
        super().__init__(f"{finding}; {advice}")
        self.finding = finding


class DamagedFile(Unusable, Damaged):
    """A damaged chat database."""


def path_of(url: str) -> Path:
    """Return the path of a URL like `sqlite:////path/chat.db` (percent-encoded).

    Raises:
        StartupError: the URL does not have this form, it is a broken link, or this user may not
            enter its folder.
    """
    name = url.removeprefix(_SCHEME)
    if name == url or not name or "?" in name:
        raise StartupError(f"the store must be a URL like sqlite:////path/chat.db, not {url!r}")
    if name == ":memory:":
        raise StartupError("the store must be a file, not :memory:")
    path = Path(os.fsdecode(unquote_to_bytes(name))).absolute()
    files.check_is_reachable(path)
    if not path.is_symlink():
        return path
    # SQLite names its other files after the target of a link; so does the lock file.
    target = Path(os.path.realpath(path))
    files.check_is_reachable(target)
    if not target.exists():
        raise StartupError(f"{path} links to {target}, which does not exist")
    return target


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the paths of the database, SQLite's other files, and the lock file."""
    return tuple(path.with_name(path.name + end) for end in ("", "-wal", "-shm", ".lock"))


def writer_engine(path: Path, *, must_exist: bool = False) -> Engine:
    """Return an engine whose transactions take the write lock when they begin.

    Args:
        path: the database file.
        must_exist: whether a missing file is an error; otherwise it is created.
    """
    mode = "rw" if must_exist else "rwc"
    return _engine(path, _WRITER, "BEGIN IMMEDIATE", mode, poolclass=NullPool)


def readers_engine(path: Path, size: int) -> Engine:
    """Return an engine of `size` connections that cannot write."""
    return _engine(
        path, _READER, "BEGIN", "rw", poolclass=QueuePool, pool_size=size, max_overflow=0
    )


def checker_engine(path: Path) -> Engine:
    """Return a read-only engine for a check of the whole database, with little memory."""
    return _engine(path, _CHECKER, "BEGIN", "rw", poolclass=NullPool)


def _engine(path: Path, pragmas: tuple[str, ...], begin: str, mode: str, **options: Any) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )

    # Parameters have texts of messages, which must not be in the log.
    engine = create_engine(
        URL.create("sqlite", database=str(path)), creator=connect, hide_parameters=True, **options
    )

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    def began(connection: Connection) -> None:
        if driver_of(connection).in_transaction:  # its COMMIT has failed
            run_driver(connection, "ROLLBACK").close()
        run_driver(connection, begin).close()

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", began)
    return engine


def mark_as_ours(connection: Connection) -> None:
    """Set the application id in the file's header."""
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def data_version(connection: Connection) -> int:
    """Return a number that changes when another connection commits.

    Numbers of different connections cannot be compared. In a transaction it is that of its
    snapshot.
    """
    cursor = run_driver(connection, "PRAGMA data_version")
    try:
        return int(cursor.fetchone()[0])
    finally:
        cursor.close()


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's connection; another thread may call its `interrupt`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def truncate_wal(connection: Connection) -> bool:
    """Checkpoint the write-ahead log and truncate it; call it outside a transaction.

    Returns False if a reader or a full disk prevents it.
    """
    driver = driver_of(connection)
    driver.execute(f"PRAGMA busy_timeout={CHECKPOINT_MS}").close()
    try:
        with closing(driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as cursor:
            is_busy, _in_log, _moved = cursor.fetchone()
    except sqlite3.Error:
        return False
    finally:
        driver.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}").close()
    return not is_busy


def copy_running(source: Path, target: Path) -> None:
    """Copy a snapshot of a database, which a server may be writing to, into the empty `target`.

    `VACUUM INTO` reads one snapshot, so commits can go on (the backup API restarts after each), and
    it copies rows, not pages: the content of free pages is not copied.

    Raises:
        sqlite3.Error: the database cannot be read, or the copy cannot be written.
    """
    with closing(sqlite3.connect(source, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        _vacuum_into(connection, target)


def copy_still(source: Path, target: Path) -> None:
    """Copy a database that no process writes to, without changing it, into the empty `target`.

    Raises:
        sqlite3.Error: the database cannot be read, or the copy cannot be written.
    """
    with closing(_look_at(source)) as connection:
        _vacuum_into(connection, target)


def _vacuum_into(connection: sqlite3.Connection, target: Path) -> None:
    connection.execute("PRAGMA temp_store=MEMORY").close()
    connection.execute("VACUUM INTO ?", (str(target),)).close()


def settle(path: Path) -> None:
    """Checkpoint everything into the database file and delete the write-ahead log.

    Raises:
        sqlite3.Error: the database is damaged, or open in another program.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").close()


def damages(connection: Connection) -> list[str]:
    """Return the problems that SQLite's integrity and foreign key checks find."""
    found = [
        verdict
        for (verdict,) in connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGES_MAX})")
        if verdict != "ok"
    ]
    if found:
        return found
    lost: dict[tuple[str, str], int] = {}
    for table, _row, other, _key in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        lost[table, other] = lost.get((table, other), 0) + 1
    return [
        f"{count} rows of {table} refer to rows of {other} that do not exist"
        for (table, other), count in lost.items()
    ]


def fingerprint(path: Path) -> str:
    """Return the identity, size and time of change of a database file; empty if it is in use."""
    if not path.exists() or _log_of(path).exists():
        return ""
    found = path.stat()
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def examine(path: Path, *, is_intact: bool = False) -> str | None:
    """Return the schema revision of a database file, without changing the file.

    None if the file is missing or empty. A file that `is_intact` is not checked for damage.

    Raises:
        StartupError: it is not a chat database, or `Damaged`.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StartupError(
            f"SQLite {sqlite3.sqlite_version} is too old; chat-server needs 3.35 or newer"
        )
    try:
        if not path.exists() or path.stat().st_size == 0:
            return None
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise _not_ours(path)
        with closing(_look_at(path)) as connection:
            return _revision(path, connection, is_intact=is_intact)
    except (sqlite3.Error, OSError) as exc:
        raise _unreadable(path, exc) from None


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _look_at(path: Path) -> sqlite3.Connection:
    # Without a write-ahead log no process has the file open; immutable mode creates none.
    is_open = _log_of(path).exists()
    address = f"{path.as_uri()}?{'mode=ro' if is_open else 'immutable=1'}"
    return sqlite3.connect(address, uri=True, isolation_level=None)


def _revision(path: Path, connection: sqlite3.Connection, *, is_intact: bool) -> str | None:
    connection.execute("BEGIN").close()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    ((application_id,),) = connection.execute("PRAGMA application_id").fetchall()
    if not tables and application_id == 0:
        return None
    if application_id != APPLICATION_ID or "alembic_version" not in tables:
        raise _not_ours(path)
    tables_to_check = [] if is_intact else connection.execute(_BTREES).fetchall()
    for (table,) in tables_to_check:
        verdict = connection.execute(f'PRAGMA quick_check("{table}")').fetchone()[0]
        if verdict != "ok":
            raise _unreadable(path, verdict)
    revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(revisions) != 1:
        raise _unreadable(path, "the schema version is missing")
    return str(revisions[0][0])


def _not_ours(path: Path) -> StartupError:
    return Unusable(
        f"{path} is not a chat database", "move it, or choose another folder with --data"
    )


def _unreadable(path: Path, reason: object) -> StartupError:
    said = " ".join(str(reason).split())
    if isinstance(reason, PermissionError):
        return StartupError(f"{path} cannot be read: {files.reason_of(reason, path)}")
    return DamagedFile(f"{path} is damaged or cannot be read ({said})", "restore it from a backup")


def reason_of(error: DBAPIError) -> str:
    """Return why a statement failed, such as `database or disk is full`."""
    return " ".join(str(error.orig).split())


def is_unavailability(error: DBAPIError) -> bool:
    """Whether the file, the disk or another process caused an error, and not the SQL."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:  # an error of the driver, not of SQLite
        return isinstance(error, OperationalError)
    return code & 0xFF in _UNAVAILABLE


def is_of_index(error: BaseException | None) -> bool:
    """Whether an error means that the full-text index is damaged, not the file."""
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_CORRUPT_VTAB or _OF_INDEX.search(str(error)) is not None


def check_is_writable(path: Path) -> None:
    """Check that this process can write the file and its folder.

    Raises:
        StartupError: names the file or the folder.
    """
    folder = path.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        reason = files.reason_of(PermissionError(), folder)
        raise StartupError(f"{folder} is not writable: {reason}")
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise StartupError(f"{path} is not a file that chat-server can write")
