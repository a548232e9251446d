"""Housekeeping: indexing after commits, rebuilding a damaged index, purging."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.operations import User
from chat.store.search.query import parse_query
from chat.store.search.search import Wanted
from chat.store.sqlite import fts5
from chat.store.sqlite.engine import is_of_index, writer_engine
from tests.serving import PATIENCE, eventually
from tests.store.opened import OpenStore, delete, edit, message

DAMAGES = {
    "no pages": "DELETE FROM search_data",
    "no record of its parts": "DELETE FROM search_data WHERE id = 10",
    "another record": "UPDATE search_data SET block = x'ffffffffffffffffffff' WHERE id = 10",
    "no totals": "DELETE FROM search_data WHERE id = 1",
    "no leaves": "DELETE FROM search_data WHERE id > 10",
    "cut leaves": "UPDATE search_data SET block = x'00' WHERE id > 10",
    "no settings": "DELETE FROM search_config",
    "a newer format": "UPDATE search_config SET v = 9 WHERE k = 'version'",
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> str:
    """Return a statement that damages the index."""
    return DAMAGES[request.param]


@pytest.fixture
def alice(store: OpenStore) -> User:
    """Return a user whose messages are indexed in several segments."""
    alice = store.sign_in("alice")
    for number in range(10):
        store.send(alice, f"word number{number}")
    store.wait_until_indexed()
    return alice


def break_index(store: OpenStore, statement: str) -> None:
    """Damage the index outside the store, like a disk fault."""
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        other.execute(statement).close()


def found(store: OpenStore, user: User, query: str) -> list[int] | None:
    """Return the seqs of the hits, or None if the search is unavailable."""
    wanted = Wanted(parse_query(query), limit=100)
    outcome = store.store.read(lambda reader: reader.search(user, None, wanted))
    refusal = outcome.exception(PATIENCE)
    if refusal is None:
        return [hit.seq for hit in outcome.result().hits]
    assert isinstance(refusal, CommandError)
    assert (refusal.code, refusal.retry_after) == (ErrorCode.UNAVAILABLE, 1.0)
    return None


def indexed(store: OpenStore) -> set[int]:
    """Return the seqs of the indexed messages in #general."""
    with closing(sqlite3.connect(store.file)) as other:
        rows = other.execute("SELECT DISTINCT doc & ? FROM search_words", ((1 << 36) - 1,))
        return {seq for (seq,) in rows}


def eventually_found(store: OpenStore, user: User, query: str, seqs: list[int]) -> None:
    """Wait until a search returns the expected hits."""
    eventually(lambda: found(store, user, query) is not None, "a search is answered")
    assert found(store, user, query) == seqs


def test_messages_are_indexed_in_batches(open_store: Callable[..., OpenStore]) -> None:
    store = open_store(index_after=3_600.0)
    alice = store.sign_in("alice")
    store.together([message(alice, f"word number{number}") for number in range(fts5.BATCH // 2)])
    assert not indexed(store), "they wait for more"
    store.together([message(alice, "more") for _ in range(fts5.BATCH)])
    eventually(lambda: len(indexed(store)) >= fts5.BATCH, "a whole batch does not wait")


def test_index_catches_up_after_a_crash(
    open_store: Callable[..., OpenStore],
) -> None:
    store = open_store(index_after=3_600.0)
    alice = store.sign_in("alice")
    seqs = [store.send(alice, f"word number{number}") for number in range(10)]
    store.append(edit(alice, seqs[3], "other"))
    store.append(delete(alice, seqs[4]))
    store.store.close()
    again = open_store(index_after=3_600.0)
    again.wait_until_indexed()
    assert sorted(indexed(again)) == [*seqs[:4], *seqs[5:]]
    assert not again.problems()


def test_messages_are_stored_and_found_during_a_rebuild(
    store: OpenStore, alice: User, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    break_index(store, damage)
    store.append(edit(alice, 2, "changed"))
    seqs = [store.send(alice, "another word") for _ in range(5)]
    eventually_found(store, alice, "word", [*seqs[::-1], *range(11, 2, -1)])
    store.wait_until_indexed()
    assert found(store, alice, "word") == [*seqs[::-1], *range(11, 2, -1)]
    assert found(store, alice, "changed") == [2]
    assert not store.problems()
    assert store.store.healthy() is None
    assert [each.levelname for each in caplog.records if "housekeeping" in each.name] == [
        "ERROR",
        "WARNING",
    ]


def test_damaged_index_is_rebuilt_when_the_store_opens(
    store: OpenStore, alice: User, damage: str, open_store: Callable[[], OpenStore]
) -> None:
    store.store.close()
    break_index(store, damage)
    again = open_store()
    again.append(edit(alice, 2, "changed"))
    seq = again.send(alice, "another word")
    eventually_found(again, alice, "word", [seq, *range(11, 2, -1)])
    again.wait_until_indexed()
    assert not again.problems()


def test_search_starts_a_rebuild_of_a_damaged_index(store: OpenStore, alice: User) -> None:
    break_index(store, DAMAGES["no leaves"])
    assert found(store, alice, "word") is None
    eventually_found(store, alice, "word", list(range(11, 1, -1)))


def test_changes_during_a_rebuild_are_indexed_once(store: OpenStore, alice: User) -> None:
    store.together([message(alice, f"word number{number}") for number in range(2 * fts5.BATCH)])
    store.wait_until_indexed()
    break_index(store, DAMAGES["no pages"])
    for number in range(5):
        seq = store.send(alice, f"new {number}")
        store.append(edit(alice, seq, f"edited new {number}"))
        store.append(edit(alice, number + 2, f"edited {number}"))
        store.append(edit(alice, number + fts5.BATCH, f"edited {number}"))
        store.append(delete(alice, number + fts5.BATCH))
        store.append(delete(alice, number + 2 * fts5.BATCH))
    store.wait_until_indexed()
    assert len(found(store, alice, "edited") or ()) == 10
    assert not store.problems()


def test_index_that_is_damaged_repeatedly_does_not_block_writes(
    store: OpenStore, alice: User
) -> None:
    for query in ("first", "second"):
        break_index(store, DAMAGES["no pages"])
        seq = store.send(alice, query)
        eventually_found(store, alice, query, [seq])


def test_deleted_words_are_removed_from_a_damaged_index(
    store: OpenStore, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 41, 2))
    break_index(store, DAMAGES["no leaves"])
    store.append(delete(alice, 5))
    eventually_found(store, alice, "word", [11, 10, 9, 8, 7, 6, 4, 3, 2])
    store.wait_until_indexed()
    assert not store.problems()


def test_index_is_rebuilt_after_many_merges(
    store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
) -> None:
    """Before SQLite 3.42, FTS5 cannot open an index after a thousand merges."""
    store.store.close()
    engine = writer_engine(store.file)
    with engine.connect() as connection:
        for _ in range(fts5.MERGES_MAX):
            with connection.begin():
                fts5.merge(connection, is_first=True)
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO meta VALUES ('search_unpurged', '1')")
            assert fts5.needs_rebuild(connection)
    engine.dispose()
    again = open_store()
    eventually(lambda: not is_worn(again), "the index is another one")
    again.wait_until_indexed()
    assert found(again, alice, "word") == list(range(11, 1, -1))


def is_worn(store: OpenStore) -> bool:
    """Whether the index has had many merges."""
    with closing(sqlite3.connect(store.file)) as other:
        return bool(other.execute("SELECT 1 FROM meta WHERE key = 'search_merges'").fetchall())


def test_damaged_file_does_not_start_a_rebuild(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE search (text)").close()
    path.write_bytes(path.read_bytes()[:4_096] + bytes(4_096))
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.DatabaseError, match="malformed") as caught:
            connection.execute("SELECT * FROM search")
        assert not is_of_index(caught.value)
