"""The full-text index by itself: what it becomes in a long life."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine

from chat.store import fulltext
from chat.store.schema import metadata

ROUNDS = 1_300
"""Purges after which FTS5 before 3.42, left alone, takes its own index for malformed."""


def test_thousands_of_purges_leave_it_usable() -> None:
    engine = create_engine("sqlite://")
    changes = fulltext.Changes()
    with engine.connect() as connection:
        metadata.create_all(connection)
        for number in range(1, ROUNDS):
            stays, goes = (1, 2 * number, 1, f"stays {number}"), (1, 2 * number + 1, 1, "goes")
            for change, message in (
                (changes.add, stays),
                (changes.add, goes),
                (changes.remove, goes),
            ):
                change(*message)
                changes.write(connection)
                connection.commit()
            fulltext.purge(connection, is_first=True)
            connection.commit()
        assert fulltext.seqs(connection, "stays", 1, 1, 2 * ROUNDS, 1) == [2 * ROUNDS - 2]
        assert not fulltext.seqs(connection, "goes", 1, 1, 2 * ROUNDS, 1)
    engine.dispose()


def test_an_index_that_cannot_be_opened_is_made_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("DELETE FROM search_data")
    engine.dispose()
    engine = create_engine(url)
    with engine.begin() as connection:
        fulltext.rebuild(connection)
        assert not fulltext.wrong_channels(connection)
    engine.dispose()
