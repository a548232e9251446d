"""The migrations produce the schema that the program's tables describe."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from chat.store.migrations.run import known_revisions
from chat.store.schema import REVISION, metadata
from chat.store.sqlite import engine as sqlite
from chat.store.sqlite import fts5
from tests.store.opened import OpenStore


def shape(path: Path) -> dict[str, list[object]]:
    """Return all tables and indexes with their columns, keys and options, as SQLite sees them."""
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema")
            if "alembic" not in name
        ]
        pragmas = ("table_list", "table_info", "foreign_key_list", "index_xinfo")
        return {
            name: [
                sorted(row[1:] for row in connection.execute(f"PRAGMA index_list('{name}')")),
                *(connection.execute(f"PRAGMA {each}('{name}')").fetchall() for each in pragmas),
            ]
            for name in names
        }


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a table is not one of FTS5 or SQLite."""
    return kind != "table" or not (name or "").startswith("search")


def test_alembic_finds_no_difference_between_migrations_and_schema(
    open_store: Callable[[], OpenStore],
) -> None:
    engine = sqlite.writer_engine(open_store().file)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_sqlite_finds_no_difference_between_migrations_and_schema(
    open_store: Callable[[], OpenStore], tmp_path: Path
) -> None:
    described = tmp_path / "described.db"
    engine = sqlite.writer_engine(described)
    with engine.begin() as connection:
        metadata.create_all(connection)
        fts5.create(connection)
    engine.dispose()
    migrated = shape(open_store().file)
    assert len(migrated) > 10
    assert migrated == shape(described)


def test_revision_is_the_newest_migration() -> None:
    assert max(known_revisions()) == REVISION
