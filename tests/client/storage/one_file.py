"""The single file of an account, as a client of version 048e654 wrote it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from chat.client.storage.outbox import new_row

TABLES = """
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, cid TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
    command TEXT NOT NULL, ts INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE lines (
    channel TEXT NOT NULL, seq INTEGER NOT NULL, rev INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (channel, seq)
) WITHOUT ROWID;
CREATE TABLE channels (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE drafts (channel TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE prefs (key TEXT PRIMARY KEY, value TEXT NOT NULL);
ALTER TABLE lines ADD COLUMN thread INTEGER;
CREATE INDEX lines_by_thread ON lines (channel, thread, seq) WHERE thread IS NOT NULL;
PRAGMA user_version=2;
"""
RECORD: dict[str, Any] = {
    "name": "#general",
    "epoch": "e1",
    "position": 3,
    "mid": None,
    "spans": [[1, 3]],
    "topic": "old",
    "role": "member",
    "read": 2,
    "unread": 1,
    "mentions": 0,
    "marked": 1,
    "preference": {"pinned": 0, "muted": False, "level": "mentions"},
    "wish": {"pinned": 4, "muted": None, "level": None},
    "pins": [],
}


def write_one_file(path: Path, texts: list[str], lines: int = 3) -> list[str]:
    """Write a file with unsent texts, a draft, a setting and a channel; return the cids."""
    rows = [new_row({"type": "send", "channel": "#general", "text": text}) for text in texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(TABLES)
        db.executemany(
            "INSERT INTO outbox (cid, channel, command, ts, state, reason)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [(row.cid, row.channel, row.command, row.ts, row.state, row.reason) for row in rows],
        )
        db.executemany(
            "INSERT INTO lines (channel, seq, rev, body) VALUES (?, ?, ?, ?)",
            [("#general", seq, seq, json.dumps(line_of(seq))) for seq in range(1, lines + 1)],
        )
        db.execute("INSERT INTO channels VALUES (?, ?, ?)", ("#general", 7, json.dumps(RECORD)))
        db.execute("INSERT INTO drafts VALUES ('#general', 'half a thought')")
        db.execute("INSERT INTO prefs VALUES ('theme', 'dark')")
    return [row.cid for row in rows]


def line_of(seq: int) -> dict[str, Any]:
    """Return a line as it is stored."""
    fields = {"channel": "#general", "seq": seq, "cid": None, "author": "bob", "ts": 1}
    return {**fields, "text": f"old {seq}"}
