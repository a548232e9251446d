"""The client's file: what is written together, what is found again, who may read it."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chat.client.model.preferences import Preference, Wish
from chat.client.model.records import ChannelRecord, DiskTrouble, OutboxRow
from chat.client.model.state import Message
from chat.client.storage.codec import channel_json
from chat.client.storage.database import Cache

RECORD = ChannelRecord("#c", "e1", 3, "mid", ((1, 3),), "topic", "owner", 2, 1, 0, 2)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    opened = Cache(tmp_path / "private" / "alice.db")
    yield opened
    opened.close()


def line(seq: int, text: str = "x", rev: int = 0, **more: object) -> Message:
    fields = {"author": "bob", "ts": 1, "cid": None, **more}
    return Message(channel="#c", seq=seq, text=text, rev=rev or seq, **fields)  # type: ignore[arg-type]


def row(cid: str, text: str = "x") -> OutboxRow:
    return OutboxRow(cid, "#c", f'{{"text":"{text}"}}', 1)


def test_everything_is_found_again(cache: Cache) -> None:
    full = line(
        2, "wörld", rev=9, me=True, reply_to=1, mentions=("a",), reactions=(("👍", ("a", "b")),)
    )
    cache.save([line(1), full], [RECORD])
    cache.put_outbox(row("c1"))
    cache.put_drafts({"#c": "draft", "#d": ""})
    cache.put_prefs({"last": "#c"})
    again = Cache(cache.path)
    assert again.channels() == [RECORD]
    assert again.line("#c", 2) == full
    assert again.outbox() == [row("c1")]
    assert (again.drafts(), again.prefs()) == ({"#c": "draft"}, {"last": "#c"})
    again.close()


def test_only_the_owner_may_read_it(cache: Cache) -> None:
    cache.put_outbox(row("c1"))
    for path in cache.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


def test_an_older_line_never_replaces_a_newer_one(cache: Cache) -> None:
    cache.save([line(1, "edited", rev=5)], [])
    cache.save([line(1, "original", rev=1)], [])
    found = cache.line("#c", 1)
    assert found is not None
    assert found.text == "edited"


def test_lines_come_a_page_at_a_time_and_not_below_the_gap(cache: Cache) -> None:
    cache.save([line(seq) for seq in (1, 2, 5, 6, 7)], [])
    assert [m.seq for m in cache.lines_before("#c", 8, 1, 2)] == [6, 7]
    assert [m.seq for m in cache.lines_before("#c", 7, 5, 9)] == [5, 6]


def test_lines_are_found_by_what_their_json_holds(cache: Cache) -> None:
    texts = {1: "Tea", 2: "milk", 3: "é", 4: "tea"}
    cache.save([replace(line(seq), text=text) for seq, text in texts.items()], [])
    found = cache.lines_with("#c", range(1, 4), ("tea", "\\u"))
    assert [m.text for m in found] == ["Tea", "é"]


def test_a_confirmed_row_goes_with_the_line_that_proves_it(cache: Cache) -> None:
    cache.put_outbox(row("c1"))
    cache.put_outbox(row("c2"))
    cache.save([line(1, cid="c1")], [RECORD], ["c1"])
    assert [waiting.cid for waiting in cache.outbox()] == ["c2"]


def test_a_write_that_fails_changes_nothing(cache: Cache) -> None:
    cache.put_outbox(row("c1"))
    broken = replace(line(2), rev=2**63)
    with pytest.raises(OverflowError):
        cache.save([line(1), broken], [RECORD], ["c1"])
    assert cache.line("#c", 1) is None
    assert cache.outbox() == [row("c1")]


def test_a_locked_file_is_trouble_not_a_crash(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DiskTrouble, match="locked"):
        cache.put_outbox(row("c1"))
    other.execute("ROLLBACK")
    other.close()
    cache.put_outbox(row("c1"))


def test_a_new_file_that_another_client_prepares_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Timer(0.2, other.execute, ("COMMIT",))
        done.start()
        Cache(path).close()
        done.join()


def test_a_file_that_another_client_takes_away_at_that_moment_is_opened_anew(
    tmp_path: Path,
) -> None:
    for number in range(60):  # somewhere in between, each time
        path = tmp_path / f"{number}.db"

        def take_away(path: Path = path) -> None:
            while not path.exists():
                pass
            for part in ("", "-wal", "-shm"):
                Path(f"{path}{part}").unlink(missing_ok=True)

        other = threading.Thread(target=take_away)
        other.start()
        Cache(path).close()
        other.join()


def test_a_client_behind_a_discard_writes_nothing_of_that_channel(cache: Cache) -> None:
    cache.save([line(1)], [RECORD])
    other = Cache(cache.path)
    generation = other.discard_lines("#c", replace(RECORD, epoch="e2")).generation
    assert [record.generation for record in cache.save([line(2)], [RECORD])] == [generation]
    assert cache.line("#c", 2) is None
    assert cache.generation("#c") == generation
    assert not cache.save([line(2)], [replace(RECORD, generation=generation)])
    other.close()


def test_wishes_stand_when_another_client_has_begun_the_channel_anew(cache: Cache) -> None:
    cache.save([], [RECORD])
    other = Cache(cache.path)
    other.channels()
    cache.save([], [replace(RECORD, wish=Wish(muted=True))])
    started = other.discard_lines("#c", replace(RECORD, epoch="e2", read=0, wish=Wish(pinned=2)))
    assert started.wish == Wish(pinned=2, muted=True)
    (merged,) = cache.save([], [replace(RECORD, read=3, wish=Wish(muted=True, level="all"))])
    assert (merged.epoch, merged.read) == ("e2", 0), "the marker was in another log"
    assert merged.wish == Wish(pinned=2, muted=True, level="all")
    assert cache.channel("#c") == merged
    other.close()


def test_the_further_marker_stands_with_its_counts_within_one_log(cache: Cache) -> None:
    cache.save([], [RECORD])
    other = Cache(cache.path)
    other.channels()
    further = replace(RECORD, read=3, unread=0, marked=3)
    cache.save([], [further])
    (merged,) = other.save([], [replace(RECORD, topic="new")])
    assert merged == replace(RECORD, topic="new", read=3, unread=0)
    other_log = replace(RECORD, epoch="e2", read=1)
    assert other.save([], [other_log]) == []
    assert cache.channel("#c") == other_log
    other.close()


def test_a_confirmed_wish_does_not_come_back_and_the_servers_word_stands(cache: Cache) -> None:
    wished = replace(RECORD, wish=Wish(muted=True))
    cache.save([], [wished])
    other = Cache(cache.path)
    other.channels()
    confirmed = replace(RECORD, preference=Preference(muted=True))
    cache.save([], [confirmed])
    (merged,) = other.save([], [replace(wished, topic="new")])
    assert merged == replace(confirmed, topic="new")
    other.close()


def test_an_older_client_that_writes_over_wishes_takes_none_away(cache: Cache) -> None:
    wished = replace(RECORD, wish=Wish(muted=True))
    cache.save([], [wished])
    values = json.loads(channel_json(replace(RECORD, read=0, wish=Wish(pinned=1))))
    del values["is_merged"]  # as version 048e654 writes it
    with closing(sqlite3.connect(cache.path)) as older:
        older.execute("UPDATE channels SET record = ?", (json.dumps(values),))
        older.commit()
    ((merged, _),) = cache.merge_others({"#c": lambda: wished})
    assert (merged.wish, merged.read) == (Wish(pinned=1, muted=True), RECORD.read)
    assert cache.merge_others({"#c": lambda: merged}) == []
    assert cache.save([], [merged]) == []
    assert cache.channel("#c") == merged


def test_a_channel_one_has_left_is_forgotten_but_not_what_was_typed(cache: Cache) -> None:
    cache.save([line(1)], [RECORD])
    cache.put_outbox(row("c1"))
    cache.put_drafts({"#c": "draft"})
    cache.forget_channel("#c")
    assert cache.channels() == []
    assert cache.line("#c", 1) is None
    assert cache.outbox()
    assert cache.drafts()


def test_unread_lines_are_counted(cache: Cache) -> None:
    cache.save(
        [
            line(1, mentions=("Alice",)),
            line(2, author="ALICE"),
            line(3, erased=True),
            line(4, kind="join"),
            line(5),
        ],
        [],
    )
    assert cache.count_above("#c", 0, "alice", 100) == (2, 1)
    assert cache.count_above("#c", 1, "alice", 100) == (1, 0)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskTrouble, match="--data"):
        Cache(tmp_path / "file" / "sub" / "alice.db")
