"""Recover the outbox and drafts from a damaged or provisional file.

A damaged file is set aside, never deleted. What a person typed is read from it row by row, from
both ends if there is a hole; where its tables cannot be read, its bytes are searched for outbox
rows. Those found by searching may have been sent or discarded before, so they wait as failed until
the person says what to do; a `cid` that the server has is stored no second time.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chat.client.model.records import Damaged, DiskTrouble, OutboxRow
from chat.client.storage.database import BUSY, Cache

__all__ = ["Salvage", "adopt", "open_cache", "set_aside"]

_PARTS = ("", "-wal", "-shm")
_ROW = re.compile(rb'\{"type": "(?:send|edit)", [^\x00-\x1f]*?"cid": "[0-9a-f]{32}"\}')
_FORWARD = "SELECT cid, channel, command, ts, state, reason FROM outbox ORDER BY place"
_BACKWARD = _FORWARD + " DESC"
_FOUND = "found in a damaged file: send it again, or discard it"


@dataclass(slots=True)
class Salvage:
    """What was read from a damaged file, which now lies at `aside`."""

    aside: Path
    is_whole: bool = True
    """Whether everything that a person typed could be read."""
    rows: dict[str, OutboxRow] = field(default_factory=dict)
    drafts: dict[str, str] = field(default_factory=dict)
    prefs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        unsent = "1 unsent message" if len(self.rows) == 1 else f"{len(self.rows)} unsent messages"
        rest = "" if self.is_whole else "; it may hold more that could not be read"
        return (
            f"the local copy was damaged and is begun anew from the server; {unsent} of it "
            f"saved; the damaged file is kept as {self.aside}{rest}"
        )


def open_cache(path: Path, patience: float = BUSY) -> tuple[Cache, Salvage | None]:
    """Open the file; if it is damaged, set it aside and take over what can be read of it.

    Raises:
        StartupError: the file was written by a newer version.
        DiskTrouble: the file cannot be written now.
    """
    cache = None
    try:
        cache = Cache(path, patience=patience)
        for read in (cache.outbox, cache.channels, cache.drafts, cache.prefs):
            read()
    except Damaged:
        if cache is not None:
            cache.close()
        try:
            found = _salvage(set_aside(path))
        except OSError as exc:
            raise DiskTrouble(f"{path} is damaged and cannot be renamed: {exc.strerror}") from exc
        cache = Cache(path, patience=patience)
        _put(cache, found)
        return cache, found
    return cache, None


def adopt(cache: Cache, path: Path) -> None:
    """Take over what was typed into `path` while the server's id was not known, and remove it.

    A crash in between does it again; the cids make that harmless.
    """
    if not path.exists():
        return
    other, _ = open_cache(path)
    try:
        for row in other.outbox():
            cache.put_outbox(row)
        cache.put_drafts({**other.drafts(), **cache.drafts()})
        cache.put_prefs({**other.prefs(), **cache.prefs()})
    finally:
        other.close()
    for part in _PARTS:
        Path(f"{path}{part}").unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Give a damaged file another name beside its own, and return that."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{part}").rename(f"{aside}{part}")
    return aside


def _put(cache: Cache, found: Salvage) -> None:
    with contextlib.suppress(DiskTrouble):  # it lies in the damaged file still
        for row in found.rows.values():
            cache.put_outbox(row)
        cache.put_drafts(found.drafts)
        cache.put_prefs(found.prefs)


def _salvage(aside: Path) -> Salvage:
    found = Salvage(aside)
    searched = list(_search(aside))  # before SQLite tidies up the log beside it
    with contextlib.closing(sqlite3.connect(aside)) as db:
        for statement in (_FORWARD, _BACKWARD):
            for row in _rows(db, found, statement):
                if _is_row(row):
                    found.rows.setdefault(row[0], OutboxRow(*row))
        for kept, statement in (
            (found.drafts, "SELECT channel, text FROM drafts"),
            (found.prefs, "SELECT key, value FROM prefs"),
        ):
            pairs = _rows(db, found, statement)
            kept.update({k: v for k, v in pairs if isinstance(k, str) and isinstance(v, str)})
    if not found.is_whole:
        for loose in searched:
            found.rows.setdefault(loose.cid, loose)
    return found


def _rows(db: sqlite3.Connection, found: Salvage, statement: str) -> Iterator[tuple[Any, ...]]:
    """Return rows up to the first that cannot be read."""
    try:
        yield from db.execute(statement)
    except sqlite3.Error:
        found.is_whole = False


def _is_row(row: tuple[Any, ...]) -> bool:
    try:
        return isinstance(json.loads(str(row[2])), dict)
    except ValueError:
        return False


def _search(aside: Path) -> Iterator[OutboxRow]:
    """Return rows whose bytes lie anywhere in the file or its log."""
    for part in ("", "-wal"):
        try:
            data = Path(f"{aside}{part}").read_bytes()
        except OSError:
            continue
        for match in _ROW.finditer(data):
            with contextlib.suppress(ValueError, KeyError):
                command = json.loads(match[0])
                now = time.time_ns() // 1_000_000
                yield OutboxRow(
                    command["cid"], command["channel"], match[0].decode(), now, "failed", _FOUND
                )
