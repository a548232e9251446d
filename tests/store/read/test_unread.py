"""Unread counts: what counts, for readers and for the answer to a marker alike."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlalchemy import event
from sqlalchemy.pool import Pool

from chat.store.channels import IgnoreUser
from chat.store.operations import SendMessage, User
from tests.store.opened import OpenStore


def counts(store: OpenStore, user: User) -> tuple[int, int]:
    """Return the unread messages and mentions of #general; all readers must agree about them."""
    one = store.membership(user)
    listed = store.read(lambda reader: reader.memberships(user))
    marked = store.mark(user, 1)
    every = {(each.unread, each.mentions) for each in (one, *listed)}
    assert every == {(marked.unread, marked.mentions)}
    return marked.unread, marked.mentions


def test_messages_and_mentions_of_ignored_users_do_not_count(
    store: OpenStore, alice: User, bob: User
) -> None:
    carol = store.sign_in("carol")
    store.send(bob, "hello @alice")
    store.send(carol, "hello @alice")
    assert counts(store, alice) == (2, 2)
    store.do(IgnoreUser(alice, "bob"))
    assert counts(store, alice) == (1, 1)
    store.do(IgnoreUser(alice, "carol"))
    assert counts(store, alice) == (0, 0)
    assert counts(store, carol) == (1, 0)
    store.do(IgnoreUser(alice, "bob", remove=True))
    assert counts(store, alice) == (1, 1)


def test_replies_in_a_thread_only_do_not_count_in_the_channel(
    store: OpenStore, alice: User, bob: User
) -> None:
    root = store.send(alice, "root")
    for thread_only in (True, False):
        store.append(SendMessage(bob, "#general", "@alice", reply_to=root, thread_only=thread_only))
    assert counts(store, alice) == (1, 1)


def test_counts_read_covering_indexes_only(store: OpenStore, alice: User, bob: User) -> None:
    store.require_sqlite()
    root = store.send(alice, "root")
    store.append(SendMessage(bob, "#general", "reply", reply_to=root, thread_only=True))
    asked: list[str] = []

    def trace(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_trace_callback(asked.append)

    event.listen(Pool, "checkout", trace)
    try:
        store.membership(alice)
        store.read(lambda reader: reader.memberships(alice))
    finally:
        event.remove(Pool, "checkout", trace)
    steps = []
    with closing(sqlite3.connect(store.file)) as connection:
        for statement in asked:
            if statement.startswith("SELECT") and "ignores" in statement:
                rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
                steps += [row[3] for row in rows if " events " in row[3]]
    assert steps
    assert all("COVERING INDEX" in step for step in steps), steps
    assert any("ix_events_thread_only" in step for step in steps)
