"""Tables of the client's file, and their migrations."""

from __future__ import annotations

import sqlite3

__all__ = ["SCHEMA_VERSION", "bring_up_to_date", "version_of"]

SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    cid TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    command TEXT NOT NULL,
    ts INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE lines (
    channel TEXT NOT NULL,
    seq INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (channel, seq)
) WITHOUT ROWID;
CREATE TABLE channels (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE TABLE drafts (channel TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE prefs (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# The lines of the first version do not know their threads, and only the server can tell: they are
# read from it again. What a person typed stays.
_THREADS = """
ALTER TABLE lines ADD COLUMN thread INTEGER;
CREATE INDEX lines_by_thread ON lines (channel, thread, seq) WHERE thread IS NOT NULL;
DELETE FROM lines;
UPDATE channels SET record = '', generation = generation + 1;
"""
_STEPS = (_SCHEMA, _THREADS)


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 for a new file."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make the tables, or those that a file lacks, in the transaction that is open."""
    for step in _STEPS[version_of(db) :]:
        for statement in step.split(";\n"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
