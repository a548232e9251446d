"""Failing reads: disk errors are unavailable, internal errors are logged, /healthz shows both."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from chat.errors import CloseCode
from chat.protocol.commands import History, Ping, Send, Who
from chat.protocol.frames import ErrorFrame, Members, Page
from tests.serving import ChatServer, ConnectionOver, Peer, eventually


def change(server: ChatServer, statement: str) -> None:
    with closing(sqlite3.connect(server.data / "chat.db", timeout=10)) as connection:
        connection.execute(statement)
        connection.commit()


def is_ill(server: ChatServer, reason: str) -> Callable[[], bool]:
    def look() -> bool:
        status, body = server.get("/healthz")
        return status == 503 and reason in body

    return look


async def test_sql_error_in_a_read_is_logged_and_answered_as_internal(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        change(server, "ALTER TABLE members RENAME TO away")
        refused = await alice.call(Who(channel="#tea"), ErrorFrame)
        assert (refused.code, refused.retryable) == ("internal", False)
        assert "no such table" not in refused.message
        server.wait_for_line("internal error while reading the store")
        server.wait_for_line("Traceback")
        server.wait_for_line("no such table: members")
        eventually(is_ill(server, "no such table: members"), "/healthz reports the fault")
        await alice.call(Ping())
        change(server, "ALTER TABLE away RENAME TO members")
        await alice.call(Who(channel="#tea"), Members)
        eventually(lambda: server.get("/healthz")[0] == 200, "/healthz reports no fault")


async def test_sql_error_in_a_write_is_logged_and_answered_as_internal(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        change(server, "ALTER TABLE events RENAME TO away")
        refused = await alice.call(Send(channel="#tea", text="one"), ErrorFrame)
        assert (refused.code, refused.retryable) == ("internal", False)
        server.wait_for_line("an operation failed: SendMessage")
        server.wait_for_line("no such table: ")
        assert "not accepting writes" not in server.text
        change(server, "ALTER TABLE away RENAME TO events")
        await alice.say("two", "#tea")


async def test_sign_in_that_fails_with_an_internal_error_can_be_retried(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        token = alice.token
    change(server, "ALTER TABLE members RENAME TO away")
    async with Peer.connect(server.url) as peer:
        with pytest.raises(ConnectionOver):
            await peer.hello("alice", token)
        assert await peer.close_code() == CloseCode.INTERNAL


async def test_damaged_pages_are_answered_as_unavailable_and_reported_by_healthz(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "100000", "--limits.burst", "100000")
    async with Peer.signed_in(server.url, "alice") as alice:
        token = alice.token
        await alice.join("#tea")
        for number in range(300):
            await alice.say(f"{number} " + "x" * 2_000, "#tea")
    server.restart()
    database = server.data / "chat.db"
    size = database.stat().st_size
    async with Peer.signed_in(server.url, "alice", token) as alice:
        with database.open("r+b") as file:
            file.seek(size * 2 // 5)
            file.write(os.urandom(size // 3))
        refused = await alice.call(History(channel="#tea", before=200, limit=100), ErrorFrame)
        assert (refused.code, refused.retryable) == ("unavailable", True)
        eventually(is_ill(server, "malformed"), "/healthz reports the fault")
        server.wait_for_line(f"cannot read {database}: database disk image is malformed")
        assert "Traceback" not in server.text


async def test_removed_database_is_reported_by_healthz(server: ChatServer) -> None:
    database = server.data / "chat.db"
    database.rename(server.data / "elsewhere.db")
    async with Peer.connect(server.url) as peer:
        await peer.send_raw('{"type": "hello", "v": 1, "name": "bob"}')
    eventually(is_ill(server, "removed or replaced"), "/healthz reports the fault")
    assert not database.exists()
    (server.data / "elsewhere.db").rename(database)
    eventually(lambda: server.get("/healthz")[0] == 200, "/healthz reports no fault")


async def test_file_modes_do_not_affect_an_open_database(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        (server.data / "chat.db").chmod(0)
        await alice.say("one", "#tea")
        await alice.call(History(channel="#tea"), Page)
        assert server.get("/healthz")[0] == 200
