"""Back up a database while its server runs, and restore a backup.

A backup is renamed to its final name after it is written, checked and synced, so it is always
complete. A restore keeps the old database under another name and replaces it atomically.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from chat.errors import StartupError
from chat.store import files
from chat.store.maintenance.check import Holdings, check_opened, holdings, problems
from chat.store.schema import REVISION, channels
from chat.store.sqlite import engine as sqlite
from chat.store.sqlite import fts5
from chat.store.sqlite.database import (
    FileLock,
    bring_up_to_date,
    check_is_current,
    check_is_known,
    unlocked,
)

__all__ = ["Restored", "back_up", "check_backup", "restore"]

_PARTS = ("", "-wal", "-shm")
# An account has the same number and the same time of creation in both databases.
_UNDONE = """
    WITH pairs AS (
        SELECT new.id, new.name, new.disabled AS is_off, new.is_erased AS is_gone,
            old.disabled AS was_off, old.is_erased AS was_gone
        FROM main.users new JOIN former.users old USING (id, created)
    ), undone AS (
        SELECT name, 'erased' AS act FROM pairs WHERE was_gone AND NOT is_gone
        UNION ALL SELECT name, 'disabled' FROM pairs
            WHERE was_off IS NOT NULL AND is_off IS NULL AND NOT was_gone
        UNION ALL SELECT name, 'banned' FROM pairs JOIN former.bans b ON b.user_id = pairs.id
            WHERE coalesce(b.until > :now, 1)
                AND b.user_id NOT IN (SELECT user_id FROM main.bans WHERE user_id IS NOT NULL)
        UNION ALL SELECT b.network, 'banned' FROM former.bans b
            WHERE b.network IS NOT NULL AND coalesce(b.until > :now, 1)
                AND b.network NOT IN (SELECT network FROM main.bans WHERE network IS NOT NULL)
        UNION ALL SELECT name, 'device ' || d.id || ' revoked'
            FROM pairs JOIN former.devices d ON d.user_id = pairs.id
            JOIN main.devices n ON n.id = d.id AND n.hash = d.hash
            WHERE d.revoked IS NOT NULL AND n.revoked IS NULL AND NOT was_gone
    )
    SELECT name, act FROM undone
    WHERE (SELECT value FROM main.meta WHERE key = 'server_id')
        = (SELECT value FROM former.meta WHERE key = 'server_id')
    ORDER BY act, name"""


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored database, and the path of the previous one, if there was one.

    `undone`: acts since the backup that have to be done again, as `bob: disabled`.
    """

    holdings: Holdings
    former: Path | None
    undone: tuple[str, ...] = ()


def back_up(url: str, target: Path) -> Holdings:
    """Copy a snapshot of the database to `target`; the server may be running.

    The copy contains no deleted texts; a text deleted later stays in it.

    Raises:
        StartupError: there is no database, it has problems, or `target` exists or cannot be
            written; nothing is left at `target`.
    """
    source = _file_of(url)
    check_is_current(source)
    if os.path.lexists(target):
        raise StartupError(f"{target} already exists; choose another file")
    part = target.with_name(f".{target.name}.part")
    try:
        _make_private(part)
        sqlite.copy_running(source, part)
        holdings = _checked(part, "the database", "chat-server check")
        _sync(part)
        _name(part, target)
        _sync(target.parent)
    except FileExistsError:
        raise StartupError(f"{target} already exists; choose another file") from None
    except PermissionError:
        raise StartupError(
            f"cannot create the backup {target}: permission denied; choose a folder that you can"
            " write to"
        ) from None
    except (OSError, sqlite3.Error, DBAPIError) as exc:
        raise StartupError(f"cannot create the backup {target}: {_reason(exc)}") from None
    finally:
        with suppress(OSError):  # the folder may not be writable
            _remove(part)
    return holdings


def restore(url: str, source: Path) -> Restored:
    """Replace the database with a backup, with a new epoch for every channel.

    The epochs make clients read the logs again. The server's id is that of the backup.

    Raises:
        StartupError: a server uses the database, or the backup cannot be used; nothing was
            changed.
    """
    path = _file_of(url)
    part = path.with_name(f"{path.name}.restoring")
    _check_source(source)
    try:
        files.make_folder(path.parent)
    except OSError as exc:
        reason = files.reason_of(exc, path.parent)
        raise StartupError(f"cannot create {path.parent}: {reason}") from None
    lock = FileLock.take(path)
    try:
        holdings = _prepare(source, part)
        if path.exists():
            files.take_after(part, path)
        former = _give_second_name(path)
        part.replace(path)
        _sync(path.parent)
        undone = _undone(path, former) if former is not None else ()
    except (OSError, sqlite3.Error, DBAPIError) as exc:
        raise StartupError(f"cannot restore {path}: {_reason(exc)}") from None
    finally:
        with suppress(OSError):
            _remove(part)
        lock.release()
    return Restored(holdings, former, undone)


def check_backup(source: Path) -> Iterator[str | Holdings]:
    """Check a backup as `check_database` does, without restoring it.

    Raises:
        StartupError: it is no backup, or an older version made it.
    """
    if _check_source(source) != REVISION:
        raise StartupError(
            f"{source} was made by an older version and cannot be checked in full; to check it,"
            " restore it into an empty folder with --data"
        )
    with closing(unlocked(source)) as database:
        yield from check_opened(database)


def _file_of(url: str) -> Path:
    if not url.startswith("sqlite:"):
        raise StartupError(
            "a database on PostgreSQL is backed up with pg_dump and restored with pg_restore; after"
            " a restore, run chat-server new-epochs"
        )
    return sqlite.path_of(url)


def _undone(path: Path, former: Path) -> tuple[str, ...]:
    """Return what the former database of the same server says of accounts, and the new one not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute("ATTACH ? AS former", (str(former),)).close()
            rows = connection.execute(_UNDONE, {"now": time.time_ns() // 1_000_000}).fetchall()
        except sqlite3.Error:  # damaged, or of an older version
            return ()
    return tuple(f"{name}: {act}" for name, act in rows)


def _check_source(source: Path) -> str:
    """Check that a file can be restored; return its schema revision."""
    files.check_is_reachable(source)
    if not source.exists():
        raise StartupError(f"no backup at {source}")
    try:
        if not source.is_file() and not source.is_dir():
            raise StartupError(f"{source} is not a regular file")
        with source.open("rb"):
            revision = sqlite.examine(source)
    except sqlite.Unusable as exc:
        raise StartupError(f"{exc.finding}; choose another backup") from None
    except OSError as exc:
        raise StartupError(f"cannot read {source}: {files.reason_of(exc, source)}") from None
    if revision is None:
        raise StartupError(f"{source} is empty; choose another backup")
    check_is_known(revision, source)
    return revision


def _name(part: Path, target: Path) -> None:
    """Rename a file; the new name must not exist."""
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # the file system does not support hard links
        part.rename(target)


def _prepare(source: Path, part: Path) -> Holdings:
    """Write the new database, check it, and sync it."""
    _make_private(part)
    try:
        sqlite.copy_still(source, part)
    except sqlite3.Error as exc:
        raise StartupError(f"cannot restore {source} to {part}: {exc}") from None
    writer = sqlite.writer_engine(part)
    try:
        bring_up_to_date(writer, part)
        with writer.begin() as connection:
            fts5.reset(connection)  # the server fills it
            for channel in connection.scalars(select(channels.c.id)).all():
                fresh = update(channels).where(channels.c.id == channel)
                connection.execute(fresh.values(epoch=secrets.token_hex(8)))
    finally:
        writer.dispose()
    holdings = _checked(part, str(source), "another backup")
    sqlite.settle(part)
    _sync(part)
    return holdings


def _give_second_name(path: Path) -> Path | None:
    """Keep the current database under another name; return its path."""
    if not path.exists():
        return None
    now = time.strftime("%Y%m%d-%H%M%S")
    former = path.with_name(f"{path.name}.before-restore-{now}")
    while former.exists():  # from the same second; it may be the only copy
        former = former.with_name(f"{former.name}-{secrets.token_hex(2)}")
    with suppress(sqlite3.Error):  # keep a damaged database together with its write-ahead log
        sqlite.settle(path)
    for beside in _PARTS[1:]:  # SQLite must not apply the old write-ahead log to the new database
        with suppress(FileNotFoundError):
            Path(f"{path}{beside}").rename(f"{former}{beside}")
    try:
        os.link(path, former)
    except OSError:
        shutil.copy2(path, former)
        files.take_after(former, path)
    _sync(path.parent)
    return former


def _checked(path: Path, what: str, instead: str) -> Holdings:
    with closing(unlocked(path)) as database, database.checker.begin() as connection:
        if found := next(problems(connection, database), None):
            raise StartupError(f"{what} is damaged ({found}); try {instead}")
        return holdings(connection)


def _make_private(path: Path) -> None:
    _remove(path)
    os.close(files.create(path))


def _remove(path: Path) -> None:
    for part in (*_PARTS, "-journal"):
        Path(f"{path}{part}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Sync a file or a folder to disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot sync folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    if isinstance(error, DBAPIError):
        return sqlite.reason_of(error)
    return getattr(error, "strerror", None) or str(error)
