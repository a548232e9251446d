"""The full-text index by itself: what it becomes in a long life."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from chat.store.schema import metadata
from chat.store.sqlite import fts5, rebuild
from chat.store.sqlite.purge import Purge

ROUNDS = 100
"""Purges, each of which leaves levels in the index if it takes several steps."""
MESSAGES = 500
LEVELS_MAX = 20
"""So many are left; with 2,000 of them FTS5 would take its own index for malformed."""


def levels(connection: Connection) -> int:
    """Return how many levels the index has, which are not many."""
    statement = "SELECT block FROM search_data WHERE id = 10"
    structure: bytes = connection.exec_driver_sql(statement).scalar_one()
    assert structure[4] < 0x80
    return structure[4]


def purged(connection: Connection) -> None:
    """Take off the disk what was taken out of the index."""
    errors: list[DBAPIError] = []
    purge = Purge(lambda: connection, errors.append)
    while purge.at is not None:
        purge.step()
        assert not errors


def test_purges_leave_few_levels_and_all_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fts5, "_SECURE_SINCE", (99,))
    monkeypatch.setattr(fts5, "LEVELS_MAX", LEVELS_MAX)
    monkeypatch.setattr(fts5, "_PAGES", 4)
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}")
    changes = fts5.Changes()
    often = 0
    with engine.connect() as connection:
        metadata.create_all(connection)
        for number in range(1, MESSAGES):
            changes.add(1, number, 1, f"stays {number} {secrets.token_hex()}")
        for _ in range(ROUNDS):
            for change in (changes.add, changes.remove):
                change(1, MESSAGES, 1, "goes")
                changes.write(connection)
                connection.commit()
            purged(connection)
            assert levels(connection) <= LEVELS_MAX + 2
            often += levels(connection) > LEVELS_MAX
        connection.exec_driver_sql("INSERT INTO search (search) VALUES ('integrity-check')")
        assert fts5.seqs(connection, "stays", 1, 1, MESSAGES, MESSAGES) == list(
            range(MESSAGES - 1, 0, -1)
        )
        assert not fts5.seqs(connection, "goes", 1, 1, MESSAGES, 1)
    engine.dispose()
    assert 0 < often <= 2 * ROUNDS / LEVELS_MAX


def test_an_index_that_cannot_be_opened_is_made_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("DELETE FROM search_data")
    engine.dispose()
    engine = create_engine(url)
    with engine.begin() as connection:
        rebuild.rebuild(connection)
        assert not rebuild.wrong_channels(connection)
    engine.dispose()
