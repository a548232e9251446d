"""Jobs in a running server: erasing an account, passing ownership on, and retention."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from chat.errors import CloseCode, StoreUnavailable
from chat.protocol.commands import Hello, History, Send
from chat.protocol.frames import ErrorFrame, Joined, Page, Removed
from chat.protocol.items import Event
from chat.server.jobs import retention
from chat.store.channels import Expire, Expired
from chat.store.operations import Batch, Failure, Operation
from tests.serving import PATIENCE, ChatServer, Peer, eventually

ERASE = ("user", "erase", "mallory", "--yes")


async def erase(server: ChatServer) -> str:
    done = await asyncio.to_thread(server.administer, *ERASE)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.feature("server.erase")
async def test_members_see_an_erased_account_leave(server: ChatServer) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        await alice.follow("#general")
        await mallory.say("to be forgotten")
        await alice.next(Event, lambda each: each.text == "to be forgotten")
        assert "backups" in await erase(server)
        assert await mallory.close_code() == CloseCode.DISABLED
        left = await alice.next(Event, lambda each: each.kind == "leave")
        erased = await alice.next(Event, lambda each: each.kind == "erased_user")
        assert left.author == erased.author == "deleted-2"
        joined = await alice.follow("#general")
        assert [item.text for item in joined.items if item.kind == "message"] == [None]
        assert "mallory" not in joined.model_dump_json()


async def test_a_direct_channel_gets_another_name_at_once(server: ChatServer) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        await mallory.say("for your eyes only", "@alice,mallory")
        await alice.next(Joined, lambda each: each.channel == "@alice,mallory")
        await erase(server)
        removed = await alice.next(Removed)
        assert removed.channel == "@alice,mallory"
        joined = await alice.next(Joined, lambda each: each.channel == "@alice,deleted-2")
        assert [item.kind for item in joined.items] == ["message", "erased_user"]
        assert joined.items[0].text is None
        await alice.say("anybody there?", "@alice,deleted-2")


@pytest.mark.parametrize(
    "stop",
    [
        ("user", "disable", "mallory"),
        ("ban", "mallory", "--for", "10m"),
        ("user", "role", "mallory", "bot"),
        ERASE,
    ],
    ids=["disabled", "banned", "bot", "erased"],
)
async def test_members_see_the_ownership_pass_on(server: ChatServer, stop: tuple[str, ...]) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        await mallory.follow("#dev")
        await alice.follow("#dev")
        done = await asyncio.to_thread(server.administer, *stop)
        assert done.returncode == 0, done.stderr
        event = await alice.next(Event, lambda each: each.kind == "role")
        assert (event.channel, event.author, event.user, event.role) == (
            *("#dev", "alice", "alice", "owner"),
        )


async def test_erased_name_cannot_be_taken_again(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "mallory") as mallory:
        token = mallory.token
    await erase(server)
    for shown in (None, token):
        async with Peer.connect(server.url) as again:
            await again.post(Hello(v=1, name="Mallory", token=shown))
            refused = await again.next(ErrorFrame)
            assert refused.code == "name_unavailable"


async def test_a_started_erasure_continues_after_a_kill(server: ChatServer) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "mallory") as mallory,
    ):
        for number in range(20):
            await mallory.say(f"line {number}")
        server.kill()
        await alice.close_code()
    assert server.administer(*ERASE).returncode == 0
    server.restart()
    async with Peer.signed_in(server.url, "bob") as bob:
        joined = await bob.follow("#general")
        authors = {item.author for item in joined.items}
        assert "deleted-2" in authors
        assert "mallory" not in authors


async def test_an_erasure_during_backups_leaves_both_complete(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server("--limits.rate", "10000", "--limits.burst", "10000")
    async with Peer.signed_in(server.url, "mallory") as mallory:
        for number in range(1_000):
            await mallory.post(Send(channel="#general", text=f"text-of-mallory {number}"))
        await mallory.settle()
    copies = [tmp_path / f"{number}.db" for number in range(4)]

    async def back_up() -> None:
        for copy in copies:
            made = await asyncio.to_thread(server.administer_apart, "backup", str(copy))
            assert made.returncode == 0, made.stderr

    await asyncio.gather(back_up(), erase(server))
    server.stop()
    files = server.data.iterdir()
    assert not [file for file in files if b"text-of-mallory" in file.read_bytes()]
    for copy in copies:  # each is the database of one moment, before, during or after
        restored = server.administer("restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        checked = server.administer("check")
        assert checked.returncode == 0, (copy, checked.stdout)
    server.start()  # an erasure that a backup interrupted continues
    eventually(lambda: " mallory " not in server.administer("audit").stdout, "it is complete")


def test_erasing_asks_first(server: ChatServer) -> None:
    server.administer("user", "add", "mallory")
    done = server.administer("user", "erase", "mallory")
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert server.administer("user", "show", "mallory").returncode == 0


def test_unknown_accounts_and_existing_files_are_refused(
    server: ChatServer, tmp_path: Path
) -> None:
    assert server.administer("user", "erase", "nobody", "--yes").returncode == 1
    file = tmp_path / "alice.jsonl"
    assert server.administer("user", "export", "alice", str(file)).returncode == 1
    assert not file.exists()
    server.administer("user", "add", "alice")
    file.write_text("precious")
    assert server.administer("user", "export", "alice", str(file)).returncode == 2
    assert file.read_text() == "precious"


@pytest.mark.feature("server.export")
async def test_export_is_lines_of_json_for_the_owner_only(
    server: ChatServer, tmp_path: Path
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.say("grüße")
    file = tmp_path / "alice.jsonl"
    assert server.administer("user", "export", "alice", str(file)).returncode == 0
    objects = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [each["text"] for each in objects if each.get("kind") == "message"] == ["grüße"]
    assert file.stat().st_mode & 0o077 == 0


def age(server: ChatServer, days: int, up_to: int) -> None:
    """Make the events of #general up to a seq older, while the server is stopped."""
    with closing(sqlite3.connect(server.data / "chat.db")) as connection, connection:
        connection.execute(
            "UPDATE events SET ts = ts - ? WHERE seq <= ? AND channel_id ="
            " (SELECT id FROM channels WHERE fold = '#general')",
            (days * 86_400_000, up_to),
        )


@pytest.fixture
async def forgetful(start_server: Callable[..., ChatServer]) -> tuple[ChatServer, str]:
    """Return a stopped server that keeps messages for a day, and the token of alice.

    #general has 40 messages of hers.
    """
    server = start_server("--retention", "1d", "--limits.rate", "1000", "--limits.burst", "1000")
    async with Peer.signed_in(server.url, "alice") as alice:
        for number in range(40):
            await alice.say(f"line {number}")
    server.stop()
    return server, alice.token


async def texts(peer: Peer) -> list[str]:
    """Return the texts that the server still has."""
    page = await peer.call(History(channel="#general", limit=100), Page)
    return [item.text for item in page.items if item.kind == "message" and item.text]


@pytest.mark.feature("server.retention")
async def test_old_messages_expire_in_the_running_server(
    forgetful: tuple[ChatServer, str],
) -> None:
    server, token = forgetful
    age(server, days=2, up_to=4)
    server.start()
    async with Peer.signed_in(server.url, "alice", token) as alice:
        joined = await alice.follow("#general")
        if not any(item.kind == "expire" for item in joined.items):
            expired = await alice.next_event(kind="expire")
            assert expired.up_to == 4
        assert "line 0" not in await texts(alice)
        assert "line 39" in await texts(alice)
    assert server.administer("check").returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
async def test_a_retention_that_is_set_in_the_running_server_erases_old_messages(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "1000", "--limits.burst", "1000")
    async with Peer.signed_in(server.url, "alice") as alice:
        for number in range(40):
            await alice.say(f"line {number}")
    server.stop()
    age(server, days=2, up_to=4)
    server.start()
    file = server.data.parent / "home" / "chat" / "server.toml"
    file.parent.mkdir(parents=True)
    async with Peer.signed_in(server.url, "alice", alice.token) as alice:
        await alice.follow("#general")
        assert "line 0" in await texts(alice)
        file.write_text('retention = "1d"\n')
        os.kill(server.pid, signal.SIGHUP)
        expired = await alice.next_event(kind="expire")
        assert expired.up_to == 4
        assert "line 0" not in await texts(alice)
        assert "line 39" in await texts(alice)


async def test_a_wrong_clock_erases_nothing_until_the_operator_says_so(
    forgetful: tuple[ChatServer, str],
) -> None:
    server, token = forgetful
    age(server, days=2, up_to=40)
    server.start()
    server.wait_for_line("more than a tenth")
    async with Peer.signed_in(server.url, "alice", token) as alice:
        await alice.follow("#general")
        assert len(await texts(alice)) == 40
        refused = await asyncio.to_thread(server.administer, "expire")
        assert refused.returncode == 2
        assert "--force" in refused.stderr
        done = await asyncio.to_thread(server.administer, "expire", "--force")
        assert done.returncode == 0, done.stderr
        await alice.next_event(kind="expire")
        await alice.settle()
        assert len(await texts(alice)) < 4
    assert server.administer("check").returncode == 0
    assert "expiry_forced" in server.administer("audit").stdout


class Results:
    """Takes steps as `Store` does, and answers them with the next results."""

    def __init__(self, *results: Any) -> None:
        self.left = list(results)
        self.steps: list[Operation[Any]] = []
        self.answered = asyncio.Event()

    def submit(self, batch: Batch) -> None:
        (pending,) = batch
        self.steps.append(pending.operation)
        result = self.left.pop(0)
        if isinstance(result, Exception):
            pending.failure = cast("Failure", result)
        else:
            pending.result = result
        asyncio.get_running_loop().call_soon(pending.settle)
        if not self.left:
            asyncio.get_running_loop().call_soon(self.answered.set)


async def test_sweep_logs_refusals_once_and_stops_after_a_jump_of_the_clock(
    caplog: pytest.LogCaptureFixture,
) -> None:
    results = Results(
        Expired(0),
        Expired(0.001, refused=(7,)),
        StoreUnavailable("disk full"),
        Expired(0.001, refused=(7, 8)),
        Expired(3_600, jump=7_200.0),
    )
    loop = asyncio.get_running_loop()
    sweep = retention(loop, cast("Any", results), timedelta(days=1), retry_every=0.001)
    sweep.start()
    await asyncio.wait_for(results.answered.wait(), PATIENCE)
    await asyncio.sleep(0)
    assert results.steps == [Expire(86_400)] * 5
    logged = [record.getMessage() for record in caplog.records]
    assert [each.split(":")[0] for each in logged] == [
        "messages of channel 7 are not erased, because it would be more than a tenth of them at"
        " once. Check the clock and the setting `retention`, then run `chat-server expire --force`",
        "messages of channel 8 are not erased, because it would be more than a tenth of them at"
        " once. Check the clock and the setting `retention`, then run `chat-server expire --force`",
        "no more messages are erased",
    ]
    assert "2:00:00" in logged[-1]
