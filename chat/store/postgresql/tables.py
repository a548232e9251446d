"""The schema on PostgreSQL: the common tables, the word index, and the notices.

Names are compared and sorted by their bytes, as SQLite does: each text has the collation `C`.
"""

from __future__ import annotations

import secrets

import psycopg
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chat import text as names
from chat.store.schema import ACCOUNTS_KEY, REVISION, channels, events, meta, metadata

__all__ = [
    "COMMIT_LOCK",
    "EVENT_IDS",
    "MIGRATION_LOCK",
    "SERVER_ID",
    "TIMELINE",
    "copy_rows",
    "create",
    "create_tables",
    "notices",
    "revision_of",
    "search",
]

COMMIT_LOCK = 0x63686174
"""The advisory lock of commits: shared for messages, exclusive for acts."""
MIGRATION_LOCK = COMMIT_LOCK + 1
SERVER_ID = "server_id"
TIMELINE = "timeline"
"""The key of the timeline that the database was last written on; see `failover`."""
EVENT_IDS = 1_000
"""Ids of events that a server takes at once from the sequence."""

COPIED = 1_000
"""Rows that a copy reads at once."""

_SET_SEQUENCE = text(
    "SELECT setval(pg_get_serial_sequence(:table, :key), CAST(:next AS bigint), false)"
)
_SET_EVENT_IDS = text("SELECT setval('event_ids', CAST(:next AS bigint), false)")

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
    create_tables(connection)
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


def create_tables(connection: Connection) -> None:
    """Create empty tables."""
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
    # Changes of the head, which no index contains, then stay on their page.
    connection.execute(text("ALTER TABLE channels SET (fillfactor = 50)"))
    connection.execute(text(f"CREATE SEQUENCE event_ids INCREMENT {EVENT_IDS}"))
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    version = text("INSERT INTO alembic_version VALUES (:revision)")
    connection.execute(version, {"revision": REVISION})


def copy_rows(source: Connection, target: Connection) -> None:
    """Copy all rows of the common tables into new, empty ones, and set the sequences."""
    for table in metadata.sorted_tables:
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        query = select(table)
        if table is meta:  # the word index is built anew
            query = query.where(
                meta.c.key.not_like("search%"), meta.c.key.not_in(("probe", TIMELINE))
            )
        found = source.execution_options(yield_per=COPIED).execute(query)
        driver = target.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with (
            driver.cursor() as cursor,
            cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN'.encode()) as copy,
        ):
            for row in found:
                copy.write_row(row)
        if (key := table.autoincrement_column) is not None:
            newest = target.scalar(select(func.coalesce(func.max(key), 0)))
            where = {"table": table.name, "key": key.name, "next": int(newest or 0) + 1}
            target.execute(_SET_SEQUENCE, where)
    target.execute(insert(meta), {"key": "generation", "value": "0"})
    newest = target.scalar(select(func.coalesce(func.max(events.c.id), 0)))
    target.execute(_SET_EVENT_IDS, {"next": int(newest or 0) + 1})
