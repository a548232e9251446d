"""Recover unsent input from a damaged file, or from a file of another place or version.

Versions 1 and 2 of the client stored everything in one file, `NAME.db`: today's outbox and cache.
The input is copied to the outbox first; when that is on disk, the old file becomes the cache, or
is deleted if there is one. After a crash in between, the copy is repeated, which the cids make
harmless. A file that an older client has open is not removed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from chat.client.model.records import DiskError, OutboxRow
from chat.client.storage.cache_db import CACHE_TABLES, CHANNELS
from chat.client.storage.database import PARTS, delete_database, version_of
from chat.client.storage.outbox_db import OutboxContent, OutboxDb, ReadMarker
from chat.client.storage.private_files import open_private
from chat.errors import StartupError

__all__ = ["adopt", "one_file", "read_damaged", "set_aside", "unsent"]

_ONE_FILE = 2
"""The last version that stored everything in one file."""
_ROWS = "SELECT cid, channel, command, ts, state, reason FROM outbox ORDER BY place"


def one_file(folder: Path) -> Path:
    """Return the single file that older clients used instead of an account's folder."""
    return folder.with_name(f"{folder.name}.db")


def set_aside(path: Path) -> Path:
    """Rename a damaged file; return its new path."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for part in PARTS:
        with suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    return aside


def read_damaged(path: Path) -> tuple[OutboxContent, bool]:
    """Return the readable content of a file, and whether that is all of it."""
    with closing(_connect(path)) as db:
        reading = _Reading(db)
        return reading.typed(), reading.is_whole


def adopt(outbox: OutboxDb, old: Path, cache: Path | None = None) -> str:
    """Take over the unsent input in the file `old`, if it exists, and remove the file.

    Args:
        outbox: the destination; locked meanwhile, so other clients that adopt `old` wait.
        old: an outbox, or the single file of an older client.
        cache: the path that `old` is renamed to if it has lines and there is no cache yet; None
            if `old` belongs to another account.

    Returns:
        A message for the user if `old` was damaged, otherwise empty.

    Raises:
        StartupError: `old` was written by a newer version.
        DiskError: `old` cannot be read now, or the outbox cannot be written.
    """
    if not old.exists():
        return ""
    try:
        with outbox.writing() as db:
            found, is_whole = _read(old)
            if cache is not None:  # both files belong to this account
                outbox.join_drafts(db, found.texts.get("draft", {}))
            outbox.add_within(db, found)
        with outbox.writing():
            if is_whole:
                _retire(old, found, cache)
                return ""
            if old.exists():
                rest = f"the damaged file was kept as {set_aside(old)}"
            else:
                rest = "another client has already reported the damaged file"
    except OSError as exc:
        raise DiskError(f"cannot import {old}: {exc.strerror or exc}") from exc
    return f"{old} is damaged; recovered {unsent(found)}; {rest}"


def unsent(found: OutboxContent) -> str:
    """Return the number of recovered messages as text."""
    return "1 unsent message" if len(found.rows) == 1 else f"{len(found.rows)} unsent messages"


def _read(old: Path) -> tuple[OutboxContent, bool]:
    """Return the input in `old` (empty if the file is gone), and whether that is all of it."""
    try:
        os.close(open_private(old, os.O_RDWR))
        with closing(_connect(old)) as db:
            if version_of(db) > CACHE_TABLES.version:
                raise StartupError(f"{old} was written by a newer chat-client; update this one")
            reading = _Reading(db)
            return reading.typed(), reading.is_whole
    except FileNotFoundError:
        return OutboxContent(), True
    except sqlite3.OperationalError as exc:
        raise DiskError(f"cannot read {old}: {exc}") from exc
    except sqlite3.DatabaseError:
        return OutboxContent(), False


def _retire(old: Path, found: OutboxContent, cache: Path | None) -> None:
    """Turn `old` into the cache, or delete it, after its input was saved.

    It stays if another client has it open, or has written to it since it was read; then it is
    taken over again at the next start.
    """
    if not old.exists():
        return
    try:
        with closing(_connect(old)) as db:
            db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            db.execute(
                "PRAGMA journal_mode=DELETE"
            ).fetchall()  # fails if another client has it open
            db.execute("BEGIN EXCLUSIVE")
            if _Reading(db).typed() != found:
                return
            is_cache = cache is not None and not cache.exists() and version_of(db) >= _ONE_FILE
            if is_cache and version_of(db) == _ONE_FILE:
                _make_cache(db)
            db.execute("COMMIT")
    except sqlite3.DatabaseError:
        return
    if is_cache and cache is not None:
        cache.parent.mkdir(mode=0o700, exist_ok=True)
        old.rename(cache)
    else:
        delete_database(old)


def _make_cache(db: sqlite3.Connection) -> None:
    """Convert the tables of version 2 to those of the cache, within a transaction."""
    records = [text for (text,) in db.execute("SELECT record FROM channels WHERE record <> ''")]
    for table in ("outbox", "drafts", "prefs", "channels"):
        db.execute(f"DROP TABLE {table}")
    db.execute(CHANNELS)
    for text in records:
        values = json.loads(text)
        row = values["name"], values["epoch"], text
        db.execute("INSERT INTO channels (name, epoch, record) VALUES (?, ?, ?)", row)
    db.execute(f"PRAGMA user_version={CACHE_TABLES.version}")


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"  # does not create a missing file
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0)


class _Reading:
    """Reads the input row by row until an unreadable one, then backwards from the end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.is_whole = True

    def typed(self) -> OutboxContent:
        """Return everything that can be read."""
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master")}
        found = OutboxContent()
        if "outbox" in tables:
            rows = {row[0]: OutboxRow(*row) for row in self._rows(_ROWS) if _is_row(row)}
            if not self.is_whole:
                last = list(filter(_is_row, self._rows(f"{_ROWS} DESC")))
                back = {row[0]: OutboxRow(*row) for row in last}
                rows |= {cid: back[cid] for cid in reversed(back) if cid not in rows}
            found.rows = list(rows.values())
        elif tables and "lines" not in tables:
            self.is_whole = False
        if "kept" in tables:
            for kind, key, value in self._rows("SELECT kind, key, value FROM kept"):
                found.texts.setdefault(kind, {})[key] = value
            marks = self._rows("SELECT channel, epoch, seq FROM marks")
            found.marks = {channel: ReadMarker(epoch, seq) for channel, epoch, seq in marks}
        if "drafts" in tables:
            found.texts["draft"] = dict(self._rows("SELECT channel, text FROM drafts"))
            found.texts["pref"] = dict(self._rows("SELECT key, value FROM prefs"))
            self._read_records(found)
        return found

    def _read_records(self, found: OutboxContent) -> None:
        """Read preference changes and read markers from an older client's channel records."""
        changes = found.texts["wish"] = {}
        for (text,) in self._rows("SELECT record FROM channels WHERE record <> ''"):
            try:
                record = json.loads(text)
                name, change = record["name"], record.get("wish") or {}
                changes |= {
                    f"{name} {key}": json.dumps(value)
                    for key, value in change.items()
                    if value is not None
                }
                if record["epoch"] and record["read"] > record["marked"]:
                    found.marks[name] = ReadMarker(record["epoch"], record["read"])
            except (ValueError, TypeError, KeyError, AttributeError):
                self.is_whole = False

    def _rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows up to the first unreadable one."""
        try:
            yield from self._db.execute(statement)
        except sqlite3.OperationalError as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_IOERR,
            ):
                raise
            self.is_whole = False
        except sqlite3.DatabaseError:
            self.is_whole = False


def _is_row(row: tuple[Any, ...]) -> bool:
    try:
        return isinstance(json.loads(str(row[2])), dict)
    except ValueError:
        return False
