"""An older database gets what the newer tables hold, from what it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from chat.store.migrations.run import upgrade
from chat.store.sqlite import engine as sqlite


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Connection]:
    """Return a database of the first version, with a person and two channels."""
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


def test_replies_find_their_threads(first: Connection) -> None:
    replies = {1: None, 2: 1, 3: None, **{seq: seq - 1 for seq in range(4, 40)}, 40: 2, 41: 3}
    for channel in (1, 2):
        for seq, reply_to in replies.items():
            if channel == 2 and reply_to == 3:
                reply_to = None  # another channel's threads are other ones
            first.execute(
                text(
                    "INSERT INTO events (channel_id, seq, mid, ts, author_id, kind, is_line, me,"
                    " reply_to, remove, rev, erased)"
                    " VALUES (:channel, :seq, '', 0, 1, 'message', 1, 0, :reply_to, 0, :seq, 0)"
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


def test_direct_channels_count_against_nobody_and_empty_ones_are_hidden(first: Connection) -> None:
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


def test_reactions_are_counted(first: Connection) -> None:
    first.execute(text("INSERT INTO users VALUES (2, 'bob', 'bob', 0)"))
    first.execute(text("INSERT INTO bodies VALUES (1, '+1'), (2, '+1'), (3, 'heart')"))
    for row in ("1, 1, 2, 2, 1, 1", "1, 1, 3, 2, 2, 2", "1, 1, 4, 4, 2, 3", "2, 1, 9, 5, 1, 1"):
        columns = "channel_id, target, seq, since, user_id, body_id"
        first.execute(text(f"INSERT INTO reactions ({columns}) VALUES ({row})"))
    upgrade(first)
    rows = first.execute(
        text("SELECT channel_id, target, since, body_id, count FROM reaction_counts")
    )
    assert [tuple(row) for row in rows] == [(1, 1, 2, 1, 2), (1, 1, 4, 3, 1), (2, 1, 5, 1, 1)]
    kept = first.execute(text("SELECT channel_id, since, seq, user_id FROM reactions")).all()
    assert [tuple(row) for row in kept] == [(1, 2, 2, 1), (1, 2, 3, 2), (1, 4, 4, 2), (2, 5, 9, 1)]


def test_members_have_the_usual_preferences(first: Connection) -> None:
    first.execute(text("INSERT INTO members VALUES (1, 1, 'alice', 'member', 0, 0)"))
    upgrade(first)
    rows = first.execute(text("SELECT pinned, muted, level FROM members")).all()
    assert [tuple(row) for row in rows] == [(0, 0, "mentions")]


def test_reactions_that_look_the_same_become_one(first: Connection) -> None:
    told = [
        (2, 1, "❤", False),
        (3, 2, "❤\ufe0f", False),
        (4, 1, "❤\ufe0f", False),  # both, and one is taken back
        (5, 1, "❤", True),
        (6, 2, "e\u0301", False),
        (7, 2, "👍", False),
    ]
    first.execute(text("INSERT INTO users VALUES (2, 'bob', 'bob', 0)"))
    event = text(
        "INSERT INTO events (channel_id, seq, mid, ts, author_id, kind, is_line, target, body_id,"
        " me, remove, rev, erased)"
        " VALUES (1, :seq, :seq, 0, :user, 'react', 0, 1, :seq, 0, :remove, :seq, 0)"
    )
    for seq, user, emoji, remove in told:
        first.execute(text("INSERT INTO bodies VALUES (:id, :text)"), {"id": seq, "text": emoji})
        first.execute(event, {"seq": seq, "user": user, "remove": remove})
        if seq in (3, 4, 6, 7):
            row = text("INSERT INTO reactions VALUES (1, 1, :seq, :seq, :user, :seq)")
            first.execute(row, {"seq": seq, "user": user})
    upgrade(first)
    now = first.execute(
        text(
            "SELECT b.text, r.user_id, r.seq, r.since FROM reactions r"
            " JOIN bodies b ON b.id = r.body_id ORDER BY r.seq"
        )
    ).all()
    assert now == [("❤️", 2, 3, 2), ("é", 2, 6, 6), ("👍", 2, 7, 7)]
    counts = text("SELECT since, count FROM reaction_counts ORDER BY since")
    assert first.execute(counts).all() == [(2, 1), (6, 1), (7, 1)]
