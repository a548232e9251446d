"""Taking over another file: one for an unknown server, and a damaged one."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.model.records import Damaged, OutboxRow
from chat.client.model.state import Message
from chat.client.storage.database import Cache
from chat.client.storage.outbox import new_row
from chat.client.storage.recovery import adopt, open_cache

PAGE = 4_096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private" / "alice.db"


def typed(number: int, size: int = 0) -> OutboxRow:
    return new_row(
        {"type": "send", "channel": "#general", "text": f"precious {number} " + "x" * size}
    )


def filled(path: Path, count: int, size: int = 0, lines: int = 0) -> list[OutboxRow]:
    """Write an outbox, lines, and a draft; return the outbox."""
    rows = [typed(number, size) for number in range(count)]
    cache = Cache(path)
    for row in rows:
        cache.put_outbox(row)
    cache.put_drafts({"#general": "half a thought"})
    cache.save(
        [Message("#general", seq, None, "bob", 1, text="y" * 500) for seq in range(1, lines + 1)],
        [],
    )
    cache.close()
    return rows


def aside_of(path: Path) -> Path:
    (aside,) = [
        other
        for other in path.parent.glob(f"{path.name}.damaged-*")
        if not other.name.endswith(("-wal", "-shm"))
    ]
    return aside


def test_a_provisional_file_moves_in_and_goes_away(path: Path, tmp_path: Path) -> None:
    rows = filled(tmp_path / "unknown.db", 1)
    cache = Cache(path)
    adopt(cache, tmp_path / "unknown.db")
    adopt(cache, tmp_path / "unknown.db")
    assert cache.outbox() == rows
    assert cache.drafts() == {"#general": "half a thought"}
    cache.close()
    assert list(tmp_path.glob("unknown.db*")) == []


def test_a_whole_file_is_just_opened(path: Path) -> None:
    rows = filled(path, 3)
    cache, salvage = open_cache(path)
    assert (cache.outbox(), salvage) == (rows, None)
    cache.close()


def test_a_file_without_its_first_page_is_set_aside_and_searched(path: Path) -> None:
    rows = filled(path, 20)
    with path.open("r+b") as file:
        file.write(random.Random(1).randbytes(100))
    cache, salvage = open_cache(path)
    assert salvage is not None
    assert not salvage.is_whole
    assert {row.command for row in cache.outbox()} == {row.command for row in rows}
    assert {row.state for row in cache.outbox()} == {"failed"}  # a person decides
    assert str(aside_of(path)) in str(salvage)
    cache.close()


def test_what_lies_around_a_broken_page_is_saved(path: Path) -> None:
    rows = filled(path, 60, size=600)
    data = bytearray(path.read_bytes())
    broken = data.index(rows[30].command.encode()) // PAGE * PAGE
    data[broken : broken + 64] = b"\xff" * 64  # the page's header: its rows can only be searched
    path.write_bytes(data)
    cache, salvage = open_cache(path)
    assert salvage is not None
    saved = {row.cid: row.state for row in cache.outbox()}
    assert len(rows) - len(saved) <= 1, "only a row that the damage hit itself may be missing"
    assert list(saved.values()).count("pending") > 40
    assert cache.drafts() == {"#general": "half a thought"}
    cache.close()


@pytest.mark.parametrize("damage", ["empty", "garbage", "other tables"])
def test_a_file_with_nothing_to_save_is_begun_anew(path: Path, damage: str) -> None:
    filled(path, 0)
    if damage == "other tables":
        path.unlink()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE outbox (something)")
            db.execute("PRAGMA user_version = 1")
            db.commit()
    else:
        path.write_bytes(b"" if damage == "empty" else b"not a database" * 400)
    cache, salvage = open_cache(path)
    assert (salvage is None) == (damage == "empty")
    cache.put_outbox(typed(1))
    cache.close()


def test_a_broken_log_beside_the_file_costs_only_what_it_holds(path: Path) -> None:
    rows = filled(path, 5)
    path.with_name(path.name + "-wal").write_bytes(random.Random(2).randbytes(10_000))
    cache, salvage = open_cache(path)
    assert (cache.outbox(), salvage) == (rows, None)
    cache.close()


def test_a_file_that_loses_its_name_takes_no_more_writes(path: Path) -> None:
    cache = Cache(path)
    path.unlink()
    with pytest.raises(Damaged, match="not there any more"):
        cache.put_outbox(typed(1))
    cache.close()
