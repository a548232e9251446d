"""Migrations of older databases to the current tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from chat.errors import ErrorCode, StartupError
from chat.rights import DEFAULT
from chat.store.accounts import SignIn
from chat.store.migrations.run import upgrade
from chat.store.operations import Appended, User
from chat.store.sqlite import engine as sqlite
from chat.store.sqlite import fts5
from chat.store.sqlite.database import open_database
from tests.store.opened import OpenStore, message


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Connection]:
    """Return a database of the first version, with a user and two channels."""
    engine = sqlite.writer_engine(tmp_path / "old.db")
    with engine.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(text("INSERT INTO users VALUES (1, 'alice', 'alice', 0)"))
        for channel in (1, 2):
            connection.execute(
                text("INSERT INTO channels VALUES (:id, :id, :id, 0, 'e', 0, '', 0, 0)"),
                {"id": channel},
            )
        yield connection
    engine.dispose()


def test_migration_assigns_replies_to_threads(first: Connection) -> None:
    replies = {1: None, 2: 1, 3: None, **{seq: seq - 1 for seq in range(4, 40)}, 40: 2, 41: 3}
    for channel in (1, 2):
        for seq, reply_to in replies.items():
            if channel == 2 and reply_to == 3:
                reply_to = None  # threads of another channel are separate
            first.execute(
                text(
                    "INSERT INTO events (channel_id, seq, mid, ts, author_id, kind, is_line, me,"
                    " reply_to, remove, rev, erased)"
                    " VALUES (:channel, :seq, 'ab', 0, 1, 'message', 1, 0, :reply_to, 0, :seq, 0)"
                ),
                {"channel": channel, "seq": seq, "reply_to": reply_to},
            )
    upgrade(first)
    for channel, root in ((1, 3), (2, 4)):
        rows = first.execute(
            text("SELECT seq, thread FROM events WHERE channel_id = :channel"),
            {"channel": channel},
        )
        found = {row.seq: row.thread for row in rows}
        long = {seq: None if seq == root else root for seq in range(3, 40) if seq >= root}
        assert {seq: found[seq] for seq in long} == long
        assert (found[1], found[2], found[40]) == (None, 1, 1)


def test_migrated_direct_channels_are_not_counted_and_empty_ones_are_hidden(
    first: Connection,
) -> None:
    first.execute(text("UPDATE channels SET is_direct = 1, head = 5 WHERE id = 1"))
    first.execute(text("INSERT INTO channels VALUES (3, '@a', '@a', 1, 'e', 0, '', 0, 0)"))
    for channel in (1, 2, 3):
        row = {"channel": channel}
        first.execute(
            text("INSERT INTO members VALUES (:channel, 1, 'alice', 'member', 0, 0)"), row
        )
    upgrade(first)
    rows = first.execute(text("SELECT channel_id, counted, hidden FROM members")).all()
    assert [tuple(row) for row in rows] == [(1, 0, 0), (2, 1, 0), (3, 0, 1)]


def test_migration_counts_reactions(first: Connection) -> None:
    first.execute(text("INSERT INTO users VALUES (2, 'bob', 'bob', 0)"))
    first.execute(text("INSERT INTO bodies VALUES (1, '+1'), (2, '+1'), (3, 'heart')"))
    for row in ("1, 1, 2, 2, 1, 1", "1, 1, 3, 2, 2, 2", "1, 1, 4, 4, 2, 3", "2, 1, 9, 5, 1, 1"):
        columns = "channel_id, target, seq, since, user_id, body_id"
        first.execute(text(f"INSERT INTO reactions ({columns}) VALUES ({row})"))
    upgrade(first)
    rows = first.execute(text("SELECT channel_id, target, since, count FROM reaction_counts"))
    assert [tuple(row) for row in rows] == [(1, 1, 2, 2), (1, 1, 4, 1), (2, 1, 5, 1)]
    kept = first.execute(text("SELECT channel_id, since, seq, user_id FROM reactions")).all()
    assert [tuple(row) for row in kept] == [(1, 2, 2, 1), (1, 2, 3, 2), (1, 4, 4, 2), (2, 5, 9, 1)]


def test_migrated_members_have_default_preferences(first: Connection) -> None:
    first.execute(text("INSERT INTO members VALUES (1, 1, 'alice', 'member', 0, 0)"))
    upgrade(first)
    rows = first.execute(text("SELECT pinned, muted, level FROM members")).all()
    assert [tuple(row) for row in rows] == [(0, 0, "mentions")]


def test_migration_merges_reactions_that_look_the_same(first: Connection) -> None:
    reacted = [
        (2, 1, "❤", False),
        (3, 2, "❤\ufe0f", False),
        (4, 1, "❤\ufe0f", False),  # both reactions, and one is removed
        (5, 1, "❤", True),
        (6, 2, "e\u0301", False),
        (7, 2, "👍", False),
    ]
    first.execute(text("INSERT INTO users VALUES (2, 'bob', 'bob', 0)"))
    event = text(
        "INSERT INTO events (channel_id, seq, mid, ts, author_id, kind, is_line, target, body_id,"
        " me, remove, rev, erased)"
        " VALUES (1, :seq, '0' || :seq, 0, :user, 'react', 0, 1, :seq, 0, :remove, :seq, 0)"
    )
    for seq, user, emoji, remove in reacted:
        first.execute(text("INSERT INTO bodies VALUES (:id, :text)"), {"id": seq, "text": emoji})
        first.execute(event, {"seq": seq, "user": user, "remove": remove})
        if seq in (3, 4, 6, 7):
            row = text("INSERT INTO reactions VALUES (1, 1, :seq, :seq, :user, :seq)")
            first.execute(row, {"seq": seq, "user": user})
    upgrade(first)
    now = first.execute(
        text(
            "SELECT e.text, r.user_id, r.seq, r.since FROM reactions r"
            " JOIN events e ON e.channel_id = r.channel_id AND e.seq = r.since ORDER BY r.seq"
        )
    ).all()
    assert now == [("❤️", 2, 3, 2), ("é", 2, 6, 6), ("👍", 2, 7, 7)]
    counts = text("SELECT since, count FROM reaction_counts ORDER BY since")
    assert first.execute(counts).all() == [(2, 1), (6, 1), (7, 1)]


ALICE, BOB = User(1, "alice"), User(2, "bob")
HEX_CID, TEXT_CID = "0123456789abcdef" * 2, "my own id"
# seq, author, kind, send_key, target, body_id, reply_to, remove, rev, last_edit, erased, thread
_LOG = (
    (1, 1, "join", None, None, None, None, 0, 1, None, 0, None),
    (2, 2, "join", None, None, None, None, 0, 2, None, 0, None),
    (3, 1, "message", f"1/{HEX_CID}", None, 4, None, 0, 7, 5, 0, None),
    (4, 1, "edit", None, 3, None, None, 0, 4, None, 1, None),
    (5, 1, "edit", None, 3, 4, None, 0, 5, None, 0, None),
    (6, 2, "react", None, 3, 5, None, 0, 6, None, 0, None),
    (7, 2, "pin", None, 3, None, None, 0, 7, None, 0, None),
    (8, 2, "message", f"2/{TEXT_CID}", None, None, 3, 0, 9, None, 1, 3),
    (9, 2, "delete", None, 8, None, None, 0, 9, None, 0, None),
    (10, 2, "topic", None, None, 6, None, 0, 10, None, 0, None),
    (11, 2, "message", f"2/{HEX_CID}", None, 7, 3, 0, 11, None, 0, 3),
)


def fill(connection: Connection) -> None:
    """Fill a database of the revision before `events` with every kind of event."""
    upgrade(connection, "0010")
    fts5.create(connection)
    sqlite.mark_as_ours(connection)
    for statement in (
        "INSERT INTO meta VALUES ('server_id', 'the-server')",
        "UPDATE meta SET value = '5' WHERE key = 'search_place'",  # the last text is not indexed
        "INSERT INTO users VALUES (1, 'alice', 'alice', 0), (2, 'bob', 'bob', 0)",
        "INSERT INTO channels VALUES (1, '#general', '#general', 0, 'epoch', 11, 'tea', 2, 0)",
        "INSERT INTO bodies VALUES (1, '     '), (2, '   '), (4, 'new @bob'), (5, '+1'),"
        " (6, 'tea'), (7, 'a reply')",
        "INSERT INTO mentions VALUES (1, 3, 0, 2), (1, 5, 0, 2)",
        "INSERT INTO reactions VALUES (1, 3, 6, 6, 2, 5)",
        "INSERT INTO reaction_counts VALUES (1, 3, 6, 5, 1)",
        "INSERT INTO pins VALUES (1, 3, 2)",
    ):
        connection.execute(text(statement))
    for user in (ALICE, BOB):
        connection.execute(
            text(
                "INSERT INTO members (channel_id, user_id, user_fold, role, read_seq, joined_seq)"
                f" VALUES (1, {user.id}, '{user.name}', 'member', 0, 0)"
            )
        )
    for row in _LOG:
        places = ", ".join(f":v{number}" for number in range(len(row)))
        connection.execute(
            text(
                "INSERT INTO events (seq, author_id, kind, send_key, target, body_id, reply_to,"
                " remove, rev, last_edit, erased, thread, channel_id, mid, ts, is_line, me)"
                f" VALUES ({places}, 1, :mid, :ts, :is_line, 0)"
            ),
            {
                **{f"v{number}": value for number, value in enumerate(row)},
                "mid": f"{row[0]:016x}",
                "ts": 1_000 * row[0],
                "is_line": row[2] in ("message", "join", "topic"),
            },
        )
    connection.execute(text("INSERT INTO search (rowid, words) VALUES ((1 << 36) | 3, 'new bob')"))


def test_migration_to_one_table_preserves_the_log(tmp_path: Path) -> None:
    engine = sqlite.writer_engine(tmp_path / "chat.db")
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    with OpenStore(f"sqlite:///{tmp_path / 'chat.db'}") as store:
        items = store.log(ALICE)
        assert store.store.server_id == "the-server"
        assert [item.seq for item in items] == [*range(1, 12)]
        assert [item.kind for item in items] == [row[2] for row in _LOG]
        assert [item.mid for item in items] == [f"{row[0]:016x}" for row in _LOG]
        assert [item.ts for item in items] == [1_000 * row[0] for row in _LOG]
        assert [item.rev for item in items] == [row[8] for row in _LOG]
        assert [item.seq for item in items if item.erased] == [4, 8]
        edited, reply = items[2], items[10]
        assert (edited.text, edited.edited, edited.pinned) == ("new @bob", True, True)
        assert (edited.mentions, edited.reactions) == (("bob",), {"+1": ("bob",)})
        assert (items[4].text, items[4].mentions, items[3].text) == ("new @bob", ("bob",), None)
        assert (items[7].text, items[9].topic) == (None, "tea")
        assert (reply.text, reply.reply_to, reply.thread) == ("a reply", 3, 3)
        assert [item.cid for item in items if item.cid] == [HEX_CID, TEXT_CID, HEX_CID]
        for user, cid, seq in ((ALICE, HEX_CID, 3), (BOB, TEXT_CID, 8), (BOB, HEX_CID, 11)):
            repeated = Appended(seq, f"{seq:016x}", 1_000 * seq, duplicate=True)
            assert store.append(message(user, "again", cid=cid)) == repeated
        store.wait_until_indexed()
        assert not store.problems()
        assert store.send(ALICE, "after it") == 12


def test_migration_keeps_all_tokens(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        fill(connection)
        connection.execute(
            text("INSERT INTO tokens VALUES (1, :first), (1, :second), (2, :second)"),
            {"first": b"first", "second": b"second"},
        )
    engine.dispose()
    with OpenStore(f"sqlite:///{path}") as store:
        devices = {
            (user.name, token): store.do(SignIn(user.name, token, token)).user.device
            for user, token in ((ALICE, b"first"), (ALICE, b"second"), (BOB, b"second"))
        }
        assert sorted(devices.values()) == [1, 2, 3]
        assert store.refused(SignIn("bob", b"first", b"first")) is ErrorCode.BAD_TOKEN
        store.wait_until_indexed()
        assert not store.problems()


@pytest.mark.parametrize("revision", ["0010", "0011", "0012"])
def test_migrated_channels_are_public_with_default_settings(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "chat.db"
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        fill(connection)
        upgrade(connection, revision)
    engine.dispose()
    assert sqlite.examine(path) == revision
    with OpenStore(f"sqlite:///{path}") as store:
        assert store.membership(ALICE).channel.settings == DEFAULT
        assert store.send(ALICE, "after it") == 12
        store.wait_until_indexed()
        assert not store.problems()
    columns = "is_private, settings, retention_from, expired, deleted"
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM channels")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(0, "", None, 0, None)]


def test_killed_migration_restarts(tmp_path: Path) -> None:
    engine = sqlite.writer_engine(tmp_path / "chat.db")
    with engine.begin() as connection:
        fill(connection)
    killed = tmp_path / "killed"
    killed.mkdir()
    with engine.begin() as connection:
        upgrade(connection)
        for path in tmp_path.glob("chat.db*"):
            (killed / path.name).write_bytes(path.read_bytes())
    engine.dispose()
    (killed / "chat.db-shm").unlink(missing_ok=True)
    assert sqlite.examine(killed / "chat.db") == "0010"
    with OpenStore(f"sqlite:///{killed / 'chat.db'}") as store:
        assert store.item(ALICE, 11).text == "a reply"
        store.wait_until_indexed()
        assert not store.problems()


def test_migration_on_a_full_disk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    before = path.read_bytes()
    usage = shutil.disk_usage(tmp_path)._replace(free=path.stat().st_size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StartupError, match=r"free disk space.*free disk space, then start again"):
        open_database(f"sqlite:///{path}", lambda: 0)
    assert path.read_bytes() == before


def test_migration_erases_texts_of_the_old_tables(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    with OpenStore(f"sqlite:///{path}") as store:
        store.wait_until_indexed()
    content = path.read_bytes()
    assert content.count(b"a reply") == 1
    assert content.count(b"new @bob") == 1
