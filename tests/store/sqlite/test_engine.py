"""Statements on SQLite: their cost and their errors; reading connections cannot write."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import Pool

from chat.errors import StoreFault
from chat.store.channels import FollowThread
from chat.store.operations import User
from chat.store.read.reader import Reader
from chat.store.sqlite.engine import readers_engine, writer_engine
from tests.store.opened import OpenStore, message, pin


def test_no_query_scans_a_whole_table(store: OpenStore, alice: User) -> None:
    """The cost of a read does not grow with the log."""
    asked: list[str] = []
    store.join(alice, "#dev")
    store.together([message(alice, f"m{number}") for number in range(3, 13)])
    store.do(FollowThread(alice, "#general", 3))

    def everything(reader: Reader) -> None:
        reader.memberships(alice)
        reader.user("alice")
        reader.page(alice, "#general", limit=5)
        reader.page(alice, "#general", before=9, limit=5)
        reader.page(alice, "#general", after=3, limit=5)
        reader.page(alice, "#general", around=7, limit=5)
        reader.page(alice, "#general", thread=3, limit=5)
        reader.page(alice, "#general", thread=3, after=3, limit=5)
        reader.page(alice, "#general", pins=True, limit=5)
        reader.page(alice, "#general", pins=True, before=9, limit=5)
        reader.resume(alice, "#general", None, limit=5, window=5)
        reader.members(alice, "#general", cursor=None, limit=5)
        reader.directory(alice, cursor=None, limit=5)
        reader.channel_bans(alice, "#dev", cursor=None, limit=5)
        reader.channel_invitations(alice)
        reader.ignored(alice)

    def trace(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_trace_callback(asked.append)

    event.listen(Pool, "checkout", trace)
    try:
        store.read(everything)
    finally:
        event.remove(Pool, "checkout", trace)
    queries = [each for each in asked if each.startswith("SELECT")]
    assert len(queries) > 10
    with closing(sqlite3.connect(store.file)) as connection:
        for statement in queries:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps = [row[3] for row in plan]
            last = statement.splitlines()[-1]
            # A page is read in order without sorting, except if its ids are selected first.
            is_page = "LIMIT" in last and "ORDER BY" not in last and "events.id IN" not in statement
            if re.search(r"\.thread = |FROM pins", statement):
                # It must not scan unrelated parts of the log.
                walk = re.compile(r"INDEX ix_events_\w+ \(channel_id=\? AND seq[<>]")
                assert not any(map(walk.search, steps)), steps
            for step in steps:
                assert not step.startswith("SCAN") or "anon" in step, (statement, steps)
                assert not re.search(r"ix_events_\w+ \(channel_id=\?\)", step), (statement, steps)
                assert not (is_page and "TEMP B-TREE" in step), (statement, steps)


def test_error_in_sql_is_an_internal_error(store: OpenStore, alice: User) -> None:
    change(store, "ALTER TABLE members RENAME TO away")
    with pytest.raises(StoreFault, match="no such table: members"):
        store.read(lambda reader: reader.memberships(alice))
    assert store.store.healthy() is None


def test_readers_cannot_write(store: OpenStore) -> None:
    engine = readers_engine(store.file, 1)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM users")
    engine.dispose()


def test_check_finds_pins_that_disagree_with_the_events(store: OpenStore, alice: User) -> None:
    seq = store.send(alice)
    store.append(pin(alice, seq))
    for statement, found in (
        ("DELETE FROM pins", "missing"),
        (
            f"INSERT INTO pins (channel_id, target) SELECT id, {seq + 1} FROM channels",
            "does not follow from",
        ),
    ):
        change(store, statement)
        assert any(found in problem for problem in store.problems())


def change(store: OpenStore, statement: str) -> None:
    """Change the database outside the store."""
    with closing(sqlite3.connect(store.file)) as connection:
        connection.execute(statement)
        connection.commit()


def test_errors_do_not_contain_the_parameters_of_statements(tmp_path: Path) -> None:
    engine = writer_engine(tmp_path / "chat.db")
    secret = "the text of a message"
    with closing(engine.connect()) as connection, pytest.raises(OperationalError) as failed:
        connection.execute(text("SELECT :message FROM missing"), {"message": secret})
    engine.dispose()
    assert "no such table: missing" in str(failed.value)
    assert secret not in str(failed.value)


def test_a_failed_commit_does_not_stop_the_next_transaction(tmp_path: Path) -> None:
    def fail(_connection: object) -> None:
        raise OperationalError("COMMIT", None, Exception("database or disk is full"))

    engine = writer_engine(tmp_path / "chat.db")
    with closing(engine.connect()) as connection:
        with connection.begin():
            connection.exec_driver_sql("CREATE TABLE words (word)")
        event.listen(engine, "commit", fail)
        with pytest.raises(OperationalError, match="full"), connection.begin():
            connection.exec_driver_sql("INSERT INTO words VALUES ('lost')")
        event.remove(engine, "commit", fail)
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO words VALUES ('kept')")
            words = connection.exec_driver_sql("SELECT word FROM words").scalars().all()
    engine.dispose()
    assert words == ["kept"]
