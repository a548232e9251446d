"""A damaged full-text index: what is sent is stored all the same, and found soon after."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.operations import Appended, User
from chat.store.read.reader import Reader
from chat.store.search.query import parse_query
from chat.store.search.search import Wanted
from chat.store.sqlite import fts5, rebuild
from chat.store.sqlite.engine import is_of_index, writer_engine
from chat.store.sqlite.purge import Purge
from chat.store.write import writer
from tests.serving import eventually
from tests.store.opened import PATIENCE, OpenStore, delete, edit, message

DAMAGES = {
    "no pages": "DELETE FROM search_data",
    "no record of its parts": "DELETE FROM search_data WHERE id = 10",
    "another record": "UPDATE search_data SET block = x'ffffffffffffffffffff' WHERE id = 10",
    "no totals": "DELETE FROM search_data WHERE id = 1",
    "no leaves": "DELETE FROM search_data WHERE id > 10",
    "cut leaves": "UPDATE search_data SET block = x'00' WHERE id > 10",
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> str:
    """Return a statement that damages the index."""
    return DAMAGES[request.param]


@pytest.fixture
def alice(store: OpenStore) -> User:
    """Return somebody whose words are indexed in several parts."""
    alice = store.sign_in("alice")
    for number in range(10):
        store.send(alice, f"word number{number}")
    return alice


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the index be made in several steps."""
    monkeypatch.setattr(rebuild, "_FILL_BATCH", 3)


def break_index(store: OpenStore, statement: str) -> None:
    """Damage the index as a fault of the disk might, beside the store."""
    with closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        other.execute(statement).close()


def found(store: OpenStore, user: User, query: str) -> list[int] | None:
    """Return the numbers of what is found; None: the search is to be tried again."""
    wanted = Wanted(parse_query(query), limit=100)
    outcome = store.store.read(lambda reader: reader.search(user, None, wanted))
    refusal = outcome.exception(PATIENCE)
    if refusal is None:
        return [hit.seq for hit in outcome.result().hits]
    assert isinstance(refusal, CommandError)
    assert (refusal.code, refusal.retry_after) == (ErrorCode.UNAVAILABLE, 1.0)
    return None


def eventually_found(store: OpenStore, user: User, query: str, seqs: list[int]) -> None:
    """Wait until a search answers, and rightly."""
    eventually(lambda: found(store, user, query) is not None, "a search is answered")
    assert found(store, user, query) == seqs


def wrong(reader: Reader) -> set[int]:
    """Return the channels that are not indexed as they are written."""
    return rebuild.wrong_channels(reader._connection)


def test_what_is_sent_mends_it_and_is_found(
    store: OpenStore, alice: User, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    break_index(store, damage)
    store.append(edit(alice, 2, "changed"))  # what is taken out notices every damage
    seqs = [store.send(alice, "another word") for _ in range(5)]
    eventually_found(store, alice, "word", [*seqs[::-1], *range(11, 2, -1)])
    eventually_found(store, alice, "changed", [2])
    assert not store.read(wrong)
    assert store.store.healthy() is None
    assert [each.levelname for each in caplog.records if "rebuild" in each.name] == [
        "ERROR",
        "WARNING",
    ]


def test_a_store_that_opens_with_it_mends_it(
    store: OpenStore, alice: User, damage: str, open_store: Callable[[], OpenStore]
) -> None:
    store.store.close()
    break_index(store, damage)
    again = open_store()
    again.append(edit(alice, 2, "changed"))
    seq = again.send(alice, "another word")
    eventually_found(again, alice, "word", [seq, *range(11, 2, -1)])
    assert not again.read(wrong)


def test_who_searches_mends_it(store: OpenStore, alice: User) -> None:
    break_index(store, DAMAGES["no leaves"])
    assert found(store, alice, "word") is None
    eventually_found(store, alice, "word", list(range(11, 1, -1)))


def test_settings_that_are_lost_are_made_anew(
    store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
) -> None:
    store.store.close()
    break_index(store, "DELETE FROM search_config")
    again = open_store()
    eventually_found(again, alice, "word", list(range(11, 1, -1)))


def test_what_changes_between_its_steps_is_indexed_once(
    store: OpenStore, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.join(alice, "#later")
    later = [store.send(alice, f"later{number}", "#later") for number in range(10)]
    monkeypatch.setattr(writer, "BATCH_MAX", 1)  # a step between any two of them
    break_index(store, DAMAGES["no pages"])
    done = store.together(
        [delete(alice, later[9], "#later")]
        + [
            operation
            for number in range(8)
            for operation in (
                message(alice, f"here {number}"),
                message(alice, f"there {number}", "#later"),
                edit(alice, number + 2, f"edited {number}"),
                edit(alice, later[number], f"edited {number}", "#later"),
                delete(alice, later[number], "#later"),
            )
        ]
    )
    assert all(isinstance(outcome, Appended) for outcome in done)
    eventually(lambda: found(store, alice, "edited") == list(range(9, 1, -1)), "the edits")
    assert not store.read(wrong)


def test_one_that_is_left_half_made_is_made_on(
    store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
) -> None:
    store.store.close()
    engine = writer_engine(store.file)
    with engine.begin() as connection:
        rebuild.forsake(connection)
        for _ in range(3):
            assert not rebuild.mend(connection)
    engine.dispose()
    again = open_store()
    eventually_found(again, alice, "word", list(range(11, 1, -1)))
    assert not again.read(wrong)


def test_one_that_is_damaged_again_at_once_holds_up_no_message(
    store: OpenStore, alice: User
) -> None:
    for query in ("first", "second"):
        break_index(store, DAMAGES["no pages"])
        seq = store.send(alice, query)
        if query == "first":
            eventually_found(store, alice, "first", [seq])
    assert found(store, alice, "second") is None
    assert store.item(alice, seq).text == "second"


def test_deleted_words_leave_a_damaged_index_too(
    store: OpenStore, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fts5, "_SECURE_SINCE", (99,))
    break_index(store, DAMAGES["no leaves"])
    store.append(delete(alice, 5))
    eventually(lambda: found(store, alice, "word") == [11, 10, 9, 8, 7, 6, 4, 3, 2], "the others")
    assert not store.read(wrong)


def test_what_purges_an_index_waits_while_it_is_made_anew(
    store: OpenStore, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fts5, "_SECURE_SINCE", (99,))
    monkeypatch.setattr(fts5, "_PAGES", 1)
    store.store.close()
    with writer_engine(store.file).connect() as connection:
        with connection.begin():
            fts5._remember(connection, fts5._UNPURGED, 1)
        purge = Purge(lambda: connection, lambda error: pytest.fail(str(error)))
        purge.step()
        assert purge._is_under_way
        with connection.begin():
            assert rebuild.forsake(connection)
        purge.step()
        assert purge.at is not None
        assert purge.at > time.monotonic(), "it has the thread for itself"


def test_a_damaged_file_is_no_damaged_index(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE search (text)").close()
    path.write_bytes(path.read_bytes()[:4_096] + bytes(4_096))
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.DatabaseError, match="malformed") as caught:
            connection.execute("SELECT * FROM search")
        assert not is_of_index(caught.value)
