"""Erased texts leave the disk: the database, its write-ahead log, and the full-text index."""

from __future__ import annotations

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from chat.store.operations import Append, User
from chat.store.read.reader import Reader
from chat.store.sqlite import engine
from chat.store.sqlite.housekeeping import PURGE_AFTER
from tests.serving import PATIENCE, eventually
from tests.store.opened import OpenStore, delete, edit, message, react

# Longer, so that the wait below does not end by an unrelated truncation.


def found(store: OpenStore, strings: Iterable[str]) -> list[str]:
    """Return the `strings` that a file of the store contains."""
    files = [path.read_bytes() for path in store.folder.iterdir()]
    return [each for each in strings if any(each.encode() in content for content in files)]


def gone(store: OpenStore, *strings: str) -> Callable[[], bool]:
    return lambda: not found(store, strings)


@pytest.mark.promise(
    7,
    fault="a deleted text, searched for in the database's files",
    result="gone within seconds",
)
def test_deleted_text_leaves_the_disk_within_seconds(
    store: OpenStore, alice: User, bob: User
) -> None:
    seq = store.send(alice, "the-first-text")
    store.append(edit(alice, seq, "the-second-text ü"))
    store.append(react(bob, seq, "the-emoji"))
    written = ("the-second-text ü", "the-emoji")
    assert found(store, written) == list(written)
    store.append(delete(alice, seq))
    eventually(gone(store, "the-first-text", *written), "deleted text on the disk")


def test_replaced_text_leaves_the_disk_within_seconds(store: OpenStore, alice: User) -> None:
    seq = store.send(alice, "the-first-text")
    store.append(edit(alice, seq, "the-second-text"))
    eventually(gone(store, "the-first-text"), "replaced text on the disk")
    assert found(store, ["the-second-text"])


def test_cost_of_a_deletion_does_not_grow_with_the_channel(
    open_store: Callable[..., OpenStore],
) -> None:
    with_url = open_store()
    with_url.require_sqlite()
    with_url.store.close()
    asked: list[str] = []

    def trace(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(asked.append)

    event.listen(Pool, "connect", trace)
    try:
        store = open_store()
        alice = store.sign_in("alice")  # the writer has opened its connection
    finally:
        event.remove(Pool, "connect", trace)
    seq = store.send(alice, "one")
    store.append(edit(alice, seq, "two"))
    asked.clear()
    store.append(delete(alice, seq))
    steps = []
    with closing(sqlite3.connect(store.file)) as connection:
        for statement in asked:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
                steps += [row[3] for row in rows]
    assert any("ix_events_channel_id_target" in step for step in steps)
    walks = [step for step in steps if "PRIMARY KEY (channel_id=?)" in step or "SCAN" in step]
    assert not [step for step in walks if "events" in step]


@pytest.fixture(params=["as it can", "as older ones can"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with the erasure of this SQLite version, and with the one before 3.42."""
    if request.param != "as it can":
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 41, 2))


def words(count: int) -> list[str]:
    return [secrets.token_hex(8) for _ in range(count)]


def ends(of: Iterable[str]) -> list[str]:
    """Return words without their first letters, which the index may share between words."""
    return [word[4:] for word in of]


@pytest.mark.usefixtures("way")
@pytest.mark.promise(
    7,
    fault="the words of deleted and replaced texts, looked for in the full-text index, with and "
    "without an SQLite that erases there at once",
    result="gone within seconds, and not found",
)
def test_deleted_words_leave_the_index(open_store: Callable[[], OpenStore]) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    kept, replaced, deleted = words(300), words(300), words(300)
    seqs = [store.send(alice, " ".join(row)) for row in zip(kept, replaced, deleted, strict=True)]
    store.wait_until_indexed()
    assert found(store, ends(kept + replaced + deleted)) == ends(kept + replaced + deleted)
    edits = zip(seqs, kept, deleted, strict=True)
    store.together([edit(alice, seq, f"{one} {two}") for seq, one, two in edits])
    eventually(gone(store, *ends(replaced)), "replaced words on the disk")
    store.together([delete(alice, seq) for seq in seqs[::2]])
    erased = [*deleted[::2], *kept[::2]]
    eventually(gone(store, *ends(erased)), "deleted words on the disk")
    assert len(found(store, ends(kept[1::2]))) == 150
    assert not store.problems()


@pytest.mark.usefixtures("way")
def test_purge_of_the_index_continues_after_a_crash(
    store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
) -> None:
    store.send(alice, "another text")
    seq = store.send(alice, "wonderful")
    store.wait_until_indexed()
    store.append(delete(alice, seq))
    copies = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    store.store.close()
    for name, content in copies.items():
        (store.folder / name).write_bytes(content)
    (store.folder / "chat.db-shm").unlink(missing_ok=True)
    again = open_store()
    eventually(gone(again, "wonderful"), "deleted text on the disk")


def test_purge_continues_after_a_long_read(store: OpenStore, alice: User) -> None:
    seq = store.send(alice, "the-text")
    reading, release = threading.Event(), threading.Event()

    def query(reader: Reader) -> None:
        reader.user("alice")
        reading.set()
        release.wait(PATIENCE)

    slow = store.store.read(query)
    assert reading.wait(PATIENCE)
    store.append(delete(alice, seq))
    sends = [store.send(alice) for _ in range(3)]
    assert sends == [4, 5, 6]
    release.set()
    slow.result(PATIENCE)
    eventually(gone(store, "the-text"), "deleted text on the disk")


def test_closing_purges_deleted_text(store: OpenStore, alice: User) -> None:
    seq = store.send(alice, "the-text")
    store.append(delete(alice, seq))
    store.store.close()
    assert gone(store, "the-text")()
    assert sorted(path.name for path in store.folder.iterdir()) == ["chat.db", "chat.db.lock"]


def test_opening_truncates_the_write_ahead_log_of_a_crash(
    store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
) -> None:
    seq = store.send(alice, "the-text")
    store.append(delete(alice, seq))
    copies = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    store.store.close()
    # As after a crash: the text is still in the write-ahead log.
    copies["chat.db-wal"] = copies.get("chat.db-wal") or b""
    for name, content in copies.items():
        (store.folder / name).write_bytes(content)
    (store.folder / "chat.db-shm").unlink(missing_ok=True)
    assert found(store, ["the-text"])
    again = open_store()
    eventually(gone(again, "the-text"), "deleted text on the disk")
    assert again.item(alice, seq).erased


@pytest.mark.promise(
    7,
    fault="deletions among thousands of edits, searched for byte by byte",
    result="no copy is left on the disk",
)
def test_no_copy_of_an_erased_text_survives_many_changes(store: OpenStore, alice: User) -> None:
    """SQLite moves rows between pages as tables grow; an erased text must leave no copy."""
    chance = random.Random(7)
    channels = [f"#c{number}" for number in range(8)]
    heads = {channel: store.join(alice, channel).channel.head for channel in channels}
    living: dict[tuple[str, int], str] = {}
    erased: list[str] = []

    def text() -> str:
        return secrets.token_hex(8) + "é" * chance.choice([0, 20, 100, 700, 3_000])

    def step() -> Append:
        channel = chance.choice(channels)
        heads[channel] += 1
        if not living or chance.random() < 0.7:
            written = text()
            living[channel, heads[channel]] = written
            return message(alice, written, channel)
        heads[channel] -= 1
        at, seq = chance.choice(list(living))
        heads[at] += 1
        erased.append(living.pop((at, seq)))
        if chance.random() < 0.5:
            return delete(alice, seq, at)
        living[at, seq] = text()
        return edit(alice, seq, living[at, seq], at)

    for _ in range(4):
        done = store.together([step() for _ in range(400)])
        assert not [each for each in done if isinstance(each, Exception)]
        store.wait_until_indexed()
    store.store.close()
    assert len(erased) > 400
    # Without its first letters: the index stores only the part not shared with the previous word.
    assert not found(store, [each[4:16] for each in erased])
    living_texts = [each[:16] for each in living.values()]
    assert len(found(store, living_texts)) == len(living_texts)


def test_text_is_overwritten_in_place(store: OpenStore, alice: User) -> None:
    """A row whose size changes could make SQLite move a row and leave a copy."""

    def sizes() -> list[tuple[int, int, int]]:
        with closing(sqlite3.connect(store.file)) as connection:
            return connection.execute(
                "SELECT id, length(CAST(text AS BLOB)), flags BETWEEN 256 AND 32767 FROM events"
                " WHERE text IS NOT NULL ORDER BY id"
            ).fetchall()

    seq = store.send(alice, "ünïcode 👋🏽")
    store.append(react(alice, seq, "👍"))
    before = sizes()
    store.append(delete(alice, seq))
    assert sizes() == before
    texts = [len("ünïcode 👋🏽".encode()), len("👍".encode())]
    assert [(size, takes_two) for _id, size, takes_two in before] == [(size, 1) for size in texts]


def test_the_pragmas_are_set(store: OpenStore) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "query_only": 0,
    }
    writer = engine.writer_engine(store.file)
    with writer.connect() as connection:
        for pragma, value in expected.items():
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value, pragma
    writer.dispose()
    readers = engine.readers_engine(store.file, 1)
    with readers.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA query_only").scalar() == 1
    readers.dispose()


def test_message_with_many_reactions_is_erased(store: OpenStore, alice: User, bob: User) -> None:
    seq = store.send(alice)
    reactions: list[Append] = []
    for number in range(10):
        reactions.append(react(alice, seq, f"emoji-{number}"))
        reactions.append(react(alice, seq, f"emoji-{number}", remove=True))
    store.together(reactions)
    store.append(delete(alice, seq))
    store.store.close()
    assert not found(store, ["emoji-"])


def test_deletion_does_not_stall_sends_during_a_long_read(store: OpenStore, alice: User) -> None:
    def seconds_of_sends(store: OpenStore, alice: User) -> float:
        """Send messages for a while; return their total duration."""
        taken = 0.0
        for _ in range(50):
            began = time.monotonic()
            store.send(alice, "meanwhile")
            taken += time.monotonic() - began
            time.sleep(0.02)
        return taken

    with store:
        usual = seconds_of_sends(store, alice)
        with closing(sqlite3.connect(store.file, isolation_level=None)) as backup:
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM events").fetchall()
            store.append(delete(alice, store.send(alice, "secret")))
            time.sleep(PURGE_AFTER)
            assert any(  # a stalled machine delays one of these, a read delays each
                seconds_of_sends(store, alice) < 3 * usual + 2.0 for _ in range(3)
            ), "the store waits for the reading, again and again"
            log = store.file.with_name("chat.db-wal")
            assert b"secret" in log.read_bytes()
        eventually(lambda: b"secret" not in log.read_bytes(), "the log is truncated then")
