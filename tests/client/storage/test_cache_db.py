"""The cache: transactions, reading lines back, and two clients on one file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chat.client.model.records import ChannelRecord, DamagedFile
from chat.client.model.state import Message, Moderation, Reaction
from chat.client.storage.cache_db import CacheDb

MUTE = Moderation("mute", "alice", None, "a reason", "bob")
RECORD = ChannelRecord("#c", "e1", 3, "mid", ((1, 3),), "topic", "owner", 2, 1, 0, 2)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheDb]:
    opened = CacheDb(tmp_path / "private" / "cache.db")
    yield opened
    opened.close()


@pytest.fixture
def other(cache: CacheDb) -> Iterator[CacheDb]:
    """Open the file for a second client that has loaded the first one's lines."""
    cache.save([line(1)], [RECORD])
    opened = CacheDb(cache.path)
    assert opened.channels() == [RECORD]
    yield opened
    opened.close()


def line(seq: int, text: str = "x", rev: int = 0, **more: object) -> Message:
    fields = {"author": "bob", "ts": 1, "cid": None, **more}
    return Message(channel="#c", seq=seq, text=text, rev=rev or seq, **fields)  # type: ignore[arg-type]


def test_stored_values_are_loaded_again(cache: CacheDb) -> None:
    full = line(
        2,
        "wörld",
        rev=9,
        me=True,
        reply_to=1,
        mentions=("a",),
        reactions=(Reaction("👍", ("a", "b")),),
    )
    assert cache.save([line(1), full], [RECORD]) == set()
    again = CacheDb(cache.path)
    assert again.channels() == [RECORD]
    assert again.line("#c", 2) == full
    again.close()


def test_the_cache_file_is_created_at_the_first_save(cache: CacheDb) -> None:
    assert cache.channels() == []
    assert cache.line("#c", 1) is None
    assert not cache.path.exists()


def test_an_older_line_never_replaces_a_newer_one(cache: CacheDb) -> None:
    cache.save([line(1, "edited", rev=5)], [RECORD])
    cache.save([line(1, "original", rev=1)], [RECORD])
    found = cache.line("#c", 1)
    assert found is not None
    assert found.text == "edited"


def test_lines_are_read_in_pages_and_not_across_a_gap(cache: CacheDb) -> None:
    cache.save([line(seq) for seq in (1, 2, 5, 6, 7)], [RECORD])
    assert [m.seq for m in cache.lines_before("#c", 8, 1, 2)] == [6, 7]
    assert [m.seq for m in cache.lines_before("#c", 7, 5, 9)] == [5, 6]


def test_lines_are_found_by_the_content_of_their_json(cache: CacheDb) -> None:
    texts = {1: "Tea", 2: "milk", 3: "é", 4: "tea"}
    cache.save([replace(line(seq), text=text) for seq, text in texts.items()], [RECORD])
    found = cache.lines_with("#c", range(1, 4), ("tea", "\\u"))
    assert [m.text for m in found] == ["Tea", "é"]


def test_replies_in_threads_are_read_apart_from_the_timeline(cache: CacheDb) -> None:
    quoted = line(3, thread=1, text=',"thread_only":true')
    cache.save([line(1), line(2, thread=1, thread_only=True), quoted], [RECORD])
    assert [m.seq for m in cache.lines_before("#c", 9, 1, 9)] == [1, 3]
    assert [m.seq for m in cache.thread_only("#c", 9, 1, 9)] == [2]
    assert [m.seq for m in cache.thread("#c", 1, 9)] == [1, 2, 3]


def test_expired_texts_leave_the_file_at_the_next_save(cache: CacheDb) -> None:
    lines = [
        line(1, text="old words", pinned=True, reactions=(Reaction("👍", ("bob",)),)),
        line(2, text="old words", thread=1, thread_only=True),
        line(3, kind="topic", text="a topic"),
        line(4, text="", kind="mute", moderation=MUTE),
        line(5, text="", kind="join"),
        line(6, text="new words"),
    ]
    cache.save(lines, [RECORD])
    cache.expire("#c", 5, 7)

    def texts() -> list[tuple[str, bool]]:
        found = filter(None, (cache.line("#c", seq) for seq in range(1, 7)))
        return [(each.text, each.deleted) for each in found]

    expected = [*[("", True)] * 3, ("", False), ("", False), ("new words", False)]
    assert texts() == expected  # before the save
    cache.save([], [RECORD])
    assert texts() == expected
    assert [m.seq for m in cache.thread_only("#c", 9, 1, 9)] == [2]
    assert cache.line("#c", 1) == line(1, text="", deleted=True, rev=7)
    mute = replace(MUTE, reason="")
    assert cache.line("#c", 4) == line(4, text="", kind="mute", moderation=mute)
    cache.close()
    files = [file.read_bytes() for file in cache.path.parent.iterdir()]
    for words in (b"old words", b"a topic", b"a reason"):
        assert not any(words in content for content in files)


def test_a_write_that_fails_changes_nothing(cache: CacheDb) -> None:
    broken = replace(line(2), rev=2**63)
    with pytest.raises(OverflowError):
        cache.save([line(1), broken], [RECORD])
    assert cache.line("#c", 1) is None
    assert cache.channels() == []


def test_the_lines_of_two_clients_are_kept_with_the_later_record(
    cache: CacheDb, other: CacheDb
) -> None:
    assert other.save([line(4)], [replace(RECORD, position=4, spans=((1, 4),))]) == set()
    assert cache.save([line(2)], [RECORD]) == set()
    assert [each.seq for each in other.lines_before("#c", 9, 1, 9)] == [1, 2, 4]
    with closing(CacheDb(cache.path)) as later:
        assert later.channels() == [RECORD]


def test_a_client_whose_channel_was_reset_writes_nothing(cache: CacheDb, other: CacheDb) -> None:
    other.discard("#c")
    assert other.line("#c", 1) is None, "at once"
    assert other.save([line(5)], [replace(RECORD, position=5, spans=((5, 5),))]) == set()
    assert cache.save([line(2)], [RECORD]) == {"#c"}
    assert [each.seq for each in other.lines_before("#c", 9, 1, 9)] == [5]
    cache.discard("#c")  # a client that starts over removes nothing of the other one
    assert cache.save([line(6)], [replace(RECORD, position=6, spans=((6, 6),))]) == set()
    assert [each.seq for each in other.lines_before("#c", 9, 1, 9)] == [5, 6]


def test_a_log_of_another_epoch_replaces_the_stored_one(cache: CacheDb, other: CacheDb) -> None:
    other.discard("#c")
    assert other.save([line(2)], [replace(RECORD, epoch="e2", spans=((2, 2),))]) == set()
    assert [each.seq for each in other.lines_before("#c", 9, 1, 9)] == [2]
    assert cache.save([], [RECORD]) == {"#c"}


def test_a_client_without_a_position_overwrites_nothing(cache: CacheDb, other: CacheDb) -> None:
    third = CacheDb(cache.path)
    empty = ChannelRecord("#c", "", 0, None, (), "", "member", 0, 0, 0, 0)
    assert third.save([], [empty]) == set()
    assert third.channels() == [RECORD]
    third.close()


def test_a_discarded_channel_is_deleted(cache: CacheDb, other: CacheDb) -> None:
    cache.discard("#c")
    cache.save([], [])
    with closing(CacheDb(cache.path)) as later:
        assert later.channels() == []
    assert other.line("#c", 1) is None
    assert other.save([], [RECORD]) == {"#c"}


def test_a_cache_of_another_version_counts_as_damaged(cache: CacheDb, other: CacheDb) -> None:
    with closing(sqlite3.connect(cache.path)) as newer:
        newer.execute("PRAGMA user_version=99")
    with pytest.raises(DamagedFile):
        CacheDb(cache.path)
