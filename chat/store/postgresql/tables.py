"""The schema on PostgreSQL: the common tables, the word index, and the notices.

Names are compared and sorted by their bytes, as SQLite does: each text has the collation `C`.
"""

from __future__ import annotations

import secrets

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    MetaData,
    String,
    Table,
    Text,
    insert,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chat import text as names
from chat.store.schema import ACCOUNTS_KEY, REVISION, channels, meta, metadata

__all__ = [
    "COMMIT_LOCK",
    "EVENT_IDS",
    "MIGRATION_LOCK",
    "SERVER_ID",
    "create",
    "notices",
    "revision_of",
    "search",
]

COMMIT_LOCK = 0x63686174
"""The advisory lock of commits: shared for messages, exclusive for acts."""
MIGRATION_LOCK = COMMIT_LOCK + 1
SERVER_ID = "server_id"
EVENT_IDS = 1_000
"""Ids of events that a server takes at once from the sequence."""

_own = MetaData(naming_convention=metadata.naming_convention)
search = Table(
    "search",
    _own,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("words", ARRAY(Text), nullable=False),
    Index("ix_search_words", "words", postgresql_using="gin"),
)
"""The words of each message (see `words`), and its indexed prefixes."""
notices = Table(
    "notices",
    _own,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Index(None, "ts"),
)
"""What each exclusive commit tells other servers; an hour's worth."""


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema; None if the database has no tables of the program."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def create(connection: Connection, now: int) -> None:
    """Create all tables in an empty database, the server's id, and #general."""
    copies = MetaData()
    for source in (metadata, _own):
        for table in source.sorted_tables:
            copy = table.to_metadata(copies)
            for column in copy.columns:
                if isinstance(column.type, String):
                    column.type = type(column.type)(collation="C")
            for index in copy.indexes:
                index.dialect_kwargs["postgresql_where"] = index.info.get("where")
    copies.create_all(connection)
    for statement in (
        f"CREATE SEQUENCE event_ids INCREMENT {EVENT_IDS}",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
    ):
        connection.execute(text(statement))
    connection.execute(
        text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION}
    )
    for key, value in (
        (SERVER_ID, secrets.token_hex(16)),
        (ACCOUNTS_KEY, secrets.token_hex(32)),
        ("generation", "0"),
    ):
        connection.execute(insert(meta), {"key": key, "value": value})
    connection.execute(
        insert(channels).inline(),
        {
            "name": names.GENERAL,
            "fold": names.fold(names.GENERAL),
            "is_direct": False,
            "epoch": secrets.token_hex(8),
            "head": 0,
            "topic": "",
            "member_count": 0,
            "created": now,
        },
    )
