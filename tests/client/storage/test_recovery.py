"""Taking over messages and drafts from older, provisional and damaged files."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.model.preferences import PreferenceChange
from chat.client.model.records import OutboxRow
from chat.client.storage.account import Account
from chat.client.storage.outbox import new_row
from chat.client.storage.outbox_db import OutboxContent, OutboxDb
from chat.client.storage.recovery import adopt
from chat.errors import StartupError
from tests.client.storage.one_file import write_one_file
from tests.serving import PATIENCE

PAGE = 4_096
TEXTS = [f"precious {number}" for number in range(3)]


def opened(folder: Path, *adopted: Path) -> Account:
    return Account(folder, "me", adopt=adopted, changed=lambda: None, report=print)


def typed(number: int, size: int = 0) -> OutboxRow:
    return new_row(
        {"type": "send", "channel": "#general", "text": f"precious {number} " + "x" * size}
    )


def filled(path: Path, count: int, size: int = 0) -> list[OutboxRow]:
    """Write an outbox and a draft; return the rows."""
    rows = [typed(number, size) for number in range(count)]
    with closing(OutboxDb(path)) as outbox:
        outbox.add(OutboxContent(rows, {"draft": {"#general": "half a thought"}}))
    return rows


def assert_has_all(account: Account, cids: list[str]) -> None:
    """Check that an account has the content of `write_one_file`."""
    assert [row.cid for row in account.outbox.all()] == cids
    assert account.outbox.drafts.all() == {"#general": "half a thought"}
    assert account.outbox.prefs.get("theme") == "dark"
    channel = account.channels["#general"]
    assert (channel.preference_change, channel.view.read, channel.server_read) == (
        PreferenceChange(pinned=4),
        2,
        1,
    )
    lines, _ = account.lines_before(channel, 4, 10)
    assert [line.text for line in lines] == ["old 1", "old 2", "old 3"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "servers" / "s1" / "me"


def files_of(folder: Path) -> set[str]:
    found = {path.name for path in folder.iterdir()}
    return {name for name in found if not name.endswith(("-wal", "-shm"))}


def test_the_single_file_of_an_older_client_becomes_outbox_and_cache(folder: Path) -> None:
    cids = write_one_file(folder.parent / "me.db", TEXTS)
    for _ in range(2):
        account = opened(folder)
        assert_has_all(account, cids)
        account.close()
    assert files_of(folder) == {"outbox.db", "cache.db"}
    assert list(folder.parent.iterdir()) == [folder]


def test_later_input_of_an_older_client_is_added(folder: Path) -> None:
    first = write_one_file(folder.parent / "me.db", ["first"])
    account = opened(folder)
    account.set_draft("#general", "a newer thought")
    account.close()
    second = write_one_file(folder.parent / "me.db", ["second"])
    account = opened(folder)
    assert [row.cid for row in account.outbox.all()] == first + second
    assert account.outbox.drafts.all() == {"#general": "a newer thought\nhalf a thought"}
    account.close()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_file_open_in_an_older_client_is_read_but_not_removed(folder: Path) -> None:
    old = folder.parent / "me.db"
    cids = write_one_file(old, TEXTS)
    with closing(sqlite3.connect(old, isolation_level=None)) as older:
        older.execute("SELECT count(*) FROM outbox").fetchall()
        account = opened(folder)
        assert [row.cid for row in account.outbox.all()] == cids
        account.close()
        (count,) = older.execute("SELECT count(*) FROM outbox").fetchone()
        assert count == len(TEXTS)
        late = typed(9)
        older.execute(
            "INSERT INTO outbox (cid, channel, command, ts, state, reason)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (late.cid, late.channel, late.command, late.ts, late.state, late.reason),
        )
    account = opened(folder)
    assert [row.cid for row in account.outbox.all()] == [*cids, late.cid]
    account.close()
    assert not old.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from chat.client.storage.account import Account

left = int(sys.argv[2])

def count(frame, event, arg):
    global left
    if event == "c_call" and "storage" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(count)
account = Account(Path(sys.argv[1]), "me", changed=lambda: None, report=print)
sys.setprofile(None)
account.close()
"""


@pytest.mark.promise(
    4,
    fault="`kill -9` at any moment while an older client's file is imported",
    result="the next start has all typed text, settings and lines, once",
)
def test_taking_over_survives_kill_9_at_every_step(tmp_path: Path) -> None:
    steps, killed = range(3, 1_000, 7), 0
    for step in steps:
        folder = tmp_path / str(step) / "me"
        cids = write_one_file(folder.parent / "me.db", TEXTS)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, folder, str(step)], timeout=PATIENCE, check=False
        )
        account = opened(folder)
        assert_has_all(account, cids)
        account.close()
        assert files_of(folder) == {"outbox.db", "cache.db"}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
    assert killed > 5


def test_two_clients_can_take_over_one_file_at_once(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number) / "me"
        cids = write_one_file(folder.parent / "me.db", TEXTS, lines=300)

        def ids(folder: Path = folder) -> list[str]:
            account = opened(folder)
            found = [row.cid for row in account.outbox.all()]
            account.close()
            return found

        with ThreadPoolExecutor() as pool:
            both = [pool.submit(ids) for _ in range(2)]
        assert [each.result() for each in both] == [cids, cids]
        assert files_of(folder) == {"outbox.db", "cache.db"}
        assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("is_old", [True, False], ids=["one file", "outbox"])
def test_input_from_before_the_first_connection_is_taken_over(
    folder: Path, tmp_path: Path, is_old: bool
) -> None:
    unknown = tmp_path / "unknown" / "d" / "me"
    if is_old:
        write_one_file(unknown.parent / "me.db", TEXTS)
    else:
        filled(unknown / "outbox.db", 3)
    account = opened(folder, unknown)
    assert len(account.outbox.all()) == 3
    assert account.outbox.drafts.all() == {"#general": "half a thought"}
    account.close()
    assert list(unknown.parent.iterdir()) == []


def test_the_file_of_a_newer_client_is_not_changed(folder: Path) -> None:
    old = folder.parent / "me.db"
    write_one_file(old, TEXTS)
    with closing(sqlite3.connect(old)) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(StartupError, match="newer"):
        opened(folder)
    assert old.exists()


def test_a_damaged_file_is_renamed_and_read_as_far_as_possible(folder: Path) -> None:
    rows = filled(folder / "outbox.db", 60, size=600)
    path = folder / "outbox.db"
    data = bytearray(path.read_bytes())
    broken = data.index(rows[30].command.encode()) // PAGE * PAGE
    data[broken : broken + 64] = b"\xff" * 64
    path.write_bytes(data)
    notices: list[str] = []
    account = Account(folder, "me", changed=lambda: None, report=notices.append)
    saved = [row.cid for row in account.outbox.all()]
    assert len(rows) - len(saved) <= PAGE // 500, "only what was on the damaged page"
    assert saved == [row.cid for row in rows if row.cid in saved], "in order"
    assert account.outbox.drafts.all() == {"#general": "half a thought"}
    account.close()
    aside = [path for path in folder.iterdir() if "damaged" in path.name]
    assert str(aside[0]) in notices[0]


@pytest.mark.parametrize("name", ["outbox.db", "../me.db"])
@pytest.mark.parametrize("damage", ["empty", "garbage", "other tables"])
def test_an_unreadable_file_is_replaced(folder: Path, damage: str, name: str) -> None:
    folder.mkdir(parents=True)
    path = folder / name
    if damage == "other tables":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE outbox (something)")
            db.execute("PRAGMA user_version = 2")
            db.commit()
    else:
        path.write_bytes(b"" if damage == "empty" else b"not a database" * 400)
    notices: list[str] = []
    account = Account(folder, "me", changed=lambda: None, report=notices.append)
    assert bool(notices) == (damage != "empty")
    account.outbox.add(typed(1))
    account.close()
    again = opened(folder)
    assert len(again.outbox.all()) == 1
    again.close()
    aside = [path for path in (*folder.iterdir(), *folder.parent.iterdir()) if "dam" in path.name]
    assert bool(aside) == (damage != "empty")


def test_a_damaged_wal_loses_only_its_own_content(folder: Path) -> None:
    rows = filled(folder / "outbox.db", 5)
    (folder / "outbox.db-wal").write_bytes(random.Random(2).randbytes(10_000))
    account = opened(folder)
    assert list(account.outbox.all()) == rows
    account.close()


def test_taking_over_a_missing_file_creates_nothing(tmp_path: Path) -> None:
    with closing(OutboxDb(tmp_path / "outbox.db")) as outbox:
        adopt(outbox, tmp_path / "me.db")
    assert not (tmp_path / "me.db").exists()
