"""`outbox.db`: input that the server may not have yet. Small, and irreplaceable.

Outbox rows, drafts, the interface's preferences on this computer, and channel preferences and read
markers that the server has not confirmed. A commit is on disk when it returns.

Two clients of one user may share the file, and each merges the other's changes. A value is only
removed if it is still the one that this client knows; of two read markers the further one wins.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from chat.client.model.preferences import PreferenceChange
from chat.client.model.records import OutboxRow
from chat.client.storage.database import BUSY, Database, Tables

__all__ = [
    "OutboxContent",
    "OutboxDb",
    "ReadMarker",
    "SavedTexts",
    "preference_change_from",
    "preference_values",
]

OUTBOX_TABLES = Tables(
    3,  # versions 1 and 2 used one file, see `recovery`
    """
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    cid TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    command TEXT NOT NULL,
    ts INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE kept (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE marks (
    channel TEXT PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID""",
    "FULL",
)


class ReadMarker(NamedTuple):
    """The read position in a channel's log."""

    epoch: str
    seq: int


class SavedTexts:
    """Drafts, preferences, or preference changes by key: `stored` on disk, `changed` since then.

    Only `Account` uses them, in the core's thread; the interface gets copies (`SavedChanged`).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.stored: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def get(self, key: str) -> str:
        """Return a text; empty if there is none."""
        return self.changed.get(key, self.stored.get(key, ""))

    def set(self, key: str, value: str) -> None:
        """Set a text; an empty one removes it."""
        self.changed[key] = value

    def all(self) -> dict[str, str]:
        """Return all texts, unsaved changes included."""
        return {key: text for key, text in (self.stored | self.changed).items() if text}

    def take_over(self, other: SavedTexts) -> None:
        """Take over another account's unsaved changes, and its texts that are missing here."""
        for key, value in other.all().items():
            if key in other.changed or not self.get(key):
                self.set(key, value)

    def saved(self, changed: dict[str, str]) -> None:
        """Note that these changes are on disk."""
        self.stored |= changed
        for key, value in changed.items():
            if self.changed.get(key) == value:
                del self.changed[key]


@dataclass(slots=True)
class OutboxContent:
    """The content of an outbox file: rows in order, texts by kind, read markers by channel."""

    rows: list[OutboxRow] = field(default_factory=list)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    marks: dict[str, ReadMarker] = field(default_factory=dict)


class OutboxDb(Database):
    """The outbox file of one account.

    Args and errors are those of `Database`.
    """

    def __init__(self, path: Path, *, timeout: float = BUSY, unwritable: str = "") -> None:
        super().__init__(path, OUTBOX_TABLES, timeout=timeout, unwritable=unwritable)

    def content(self) -> OutboxContent:
        """Return everything in the file."""
        found = OutboxContent(self.outbox(), marks=self.marks())
        for kind, key, value in self.rows("SELECT kind, key, value FROM kept"):
            found.texts.setdefault(kind, {})[key] = value
        return found

    def outbox(self) -> list[OutboxRow]:
        """Return the rows in the order they were typed."""
        rows = self.rows(
            "SELECT cid, channel, command, ts, state, reason FROM outbox ORDER BY place"
        )
        return [OutboxRow(*row) for row in rows]

    def has_row(self, cid: str) -> bool:
        """Whether the row still exists; another client may have discarded it."""
        return bool(self.rows("SELECT 1 FROM outbox WHERE cid = ?", cid))

    def put_row(self, row: OutboxRow) -> None:
        """Add a row, or update its state and reason; it is on disk when this returns."""
        with self.writing() as db:
            db.execute(
                f"{_ADD_ROW} DO UPDATE SET state = excluded.state, reason = excluded.reason",
                _fields_of(row),
            )

    def drop_rows(self, cids: Iterable[str]) -> None:
        """Delete rows; they are gone from the disk when this returns."""
        with self.writing() as db:
            db.executemany("DELETE FROM outbox WHERE cid = ?", [(cid,) for cid in cids])

    def saved_texts(self, kind: str) -> dict[str, str]:
        """Return the texts of one kind."""
        return dict(self.rows("SELECT key, value FROM kept WHERE kind = ?", kind))

    def save_texts(self, texts: SavedTexts) -> None:
        """Write the changes."""
        changed = dict(texts.changed)
        with self.writing() as db:
            for key, value in changed.items():
                if value:
                    row = texts.kind, key, value
                    db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", row)
                else:
                    row = texts.kind, key, texts.stored.get(key, "")
                    db.execute("DELETE FROM kept WHERE kind = ? AND key = ? AND value = ?", row)
        texts.saved(changed)

    def marks(self) -> dict[str, ReadMarker]:
        """Return the read markers that the server may not have, by channel."""
        rows = self.rows("SELECT channel, epoch, seq FROM marks")
        return {channel: ReadMarker(epoch, seq) for channel, epoch, seq in rows}

    def save_marks(self, moved: dict[str, ReadMarker], confirmed: dict[str, ReadMarker]) -> None:
        """Write moved read markers, and delete confirmed ones."""
        with self.writing() as db:
            for channel, mark in confirmed.items():
                row = channel, mark.epoch, mark.seq
                db.execute("DELETE FROM marks WHERE channel = ? AND epoch = ? AND seq <= ?", row)
            _put_marks(db, moved)

    def add(self, typed: OutboxContent) -> None:
        """Add the content of another file that is missing here."""
        with self.writing() as db:
            self.add_within(db, typed)

    @staticmethod
    def add_within(db: sqlite3.Connection, typed: OutboxContent) -> None:
        """Add the content of another file that is missing here, in the open transaction."""
        db.executemany(f"{_ADD_ROW} DO NOTHING", map(_fields_of, typed.rows))
        for kind, texts in typed.texts.items():
            rows = [(kind, key, value) for key, value in texts.items() if value]
            db.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?)", rows)
        _put_marks(db, typed.marks)

    @staticmethod
    def join_drafts(db: sqlite3.Connection, drafts: dict[str, str]) -> None:
        """Append drafts to existing ones, in the open transaction; skip text that they contain."""
        db.executemany(
            "UPDATE kept SET value = value || char(10) || ?"
            " WHERE kind = 'draft' AND key = ? AND instr(value, ?) = 0",
            [(text, key, text) for key, text in drafts.items()],
        )


_ADD_ROW = (
    "INSERT INTO outbox (cid, channel, command, ts, state, reason)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (cid)"
)


def _fields_of(row: OutboxRow) -> tuple[object, ...]:
    return row.cid, row.channel, row.command, row.ts, row.state, row.reason


def _put_marks(db: sqlite3.Connection, marks: dict[str, ReadMarker]) -> None:
    db.executemany(
        "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT (channel) DO UPDATE"
        " SET epoch = excluded.epoch, seq = excluded.seq"
        " WHERE epoch <> excluded.epoch OR seq < excluded.seq",
        [(channel, *mark) for channel, mark in marks.items()],
    )


def preference_values(channel: str, change: PreferenceChange) -> dict[str, str]:
    """Encode a preference change as texts, one for each field, by channel and field."""
    return {f"{channel} {name}": json.dumps(value) for name, value in change.fields().items()}


def preference_change_from(channel: str, values: dict[str, str]) -> PreferenceChange:
    """Decode a channel's preference change; invalid values are ignored."""
    found: dict[str, Any] = {}
    for name, kind in (("pinned", int), ("muted", bool), ("level", str)):
        try:
            value = json.loads(values.get(f"{channel} {name}", "null"))
        except ValueError:
            continue
        if type(value) is kind:
            found[name] = value
    return PreferenceChange(**found)
