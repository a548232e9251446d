"""Start-up, start-up errors, clean stop, and `kill -9`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from chat.errors import CloseCode
from chat.protocol.commands import History, Send
from chat.protocol.frames import Bye, Ok, Page
from tests.serving import PATIENCE, ChatServer, Peer


def run(server: ChatServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `chat-server` to its end."""
    return subprocess.run(
        server.command(*arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=server.environment(),
    )


def refusal(server: ChatServer, *arguments: str) -> str:
    """Return the one-line error of a refused start."""
    done = run(server, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("chat-server: ")
    return lines[0]


def test_start_up_prints_address_data_folder_and_how_to_connect(server: ChatServer) -> None:
    server.wait_for_line("stop ")
    assert server.url in server.text
    assert str(server.data / "chat.db") in server.text
    assert f"chat-client --name YOU --url {server.url}" in server.text


def test_by_default_both_loopbacks_listen_on_one_port(tmp_path: Path) -> None:
    server = ChatServer(tmp_path / "data", "--host", "127.0.0.1", "--host", "::1")
    with server:
        with socket.create_connection(("127.0.0.1", server.port)):
            pass
        if "[::1]" in server.text:
            with socket.create_connection(("::1", server.port)):
                pass


def test_port_in_use_is_reported_in_one_line(server: ChatServer, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    line = refusal(server, "--port", str(server.port), "--data", other)
    assert str(server.port) in line
    assert "--port" in line
    assert not Path(other).exists()


def test_database_in_use_is_reported_in_one_line(server: ChatServer) -> None:
    line = refusal(server, "--port", "0", "--data", str(server.data))
    assert str(server.data) in line


@pytest.mark.parametrize("content", [b"not a database, only text\n" * 200, b"\x00" * 8192])
def test_corrupt_database_is_reported_in_one_line_and_not_changed(
    tmp_path: Path, content: bytes
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    file = data / "chat.db"
    file.write_bytes(content)
    line = refusal(ChatServer(data), "--port", "0", "--data", str(data))
    assert str(file) in line
    assert file.read_bytes() == content


def test_newer_database_is_reported_in_one_line(server: ChatServer) -> None:
    server.stop()
    file = server.data / "chat.db"
    with sqlite3.connect(file) as database:
        database.execute("update alembic_version set version_num = 'from_the_future'")
    database.close()
    before = file.read_bytes()
    line = refusal(server, "--port", "0", "--data", str(server.data))
    assert "newer" in line
    assert file.read_bytes() == before


def test_unwritable_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    line = refusal(ChatServer(tmp_path), "--port", "0", "--data", str(file / "data"))
    assert str(file) in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--port", "99999"), "--port"),
        (("--colour", "red"), "--colour"),
        (("--tls-cert", "x.pem"), "--tls-key"),
        (("--tls-cert", "x.pem", "--tls-key", "y.pem", "--port", "0"), "x.pem"),
        (("--host", "no.such.host.invalid", "--port", "0"), "no.such.host.invalid"),
        (("token", "nobody"), "--data"),
    ],
)
def test_wrong_flags_are_reported_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    data = str(tmp_path / "data")
    assert named in refusal(ChatServer(tmp_path), *arguments, "--data", data)


def test_settings_come_from_variables_and_the_file_too(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "chat"
    folder.mkdir(parents=True)
    (folder / "server.toml").write_text('server_name = "from file"\n[limits]\ntext = 77\n')
    server = ChatServer(tmp_path / "data", env={"CHAT_LIMITS__TOPIC": "88"})

    async def limits() -> tuple[str, int, int]:
        async with Peer.signed_in(server.url, "alice") as alice:
            welcome = alice.welcome
            assert welcome is not None
            return welcome.server.name, welcome.limits.text, welcome.limits.topic

    with server:
        assert asyncio.run(limits()) == ("from file", 77, 88)


def test_the_schema_is_printed(tmp_path: Path) -> None:
    done = run(ChatServer(tmp_path), "schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    assert {"command", "frame", "$defs"} <= set(schema)
    assert {"Send", "Welcome", "Limits"} <= set(schema["$defs"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_server_cleanly(server: ChatServer, number: signal.Signals) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        connect(server.url + "/counter", proxy=None) as counter,
    ):
        os.kill(server.pid, number)
        bye = await alice.next(Bye)
        assert bye.reconnect > 0
        assert await alice.close_code() == CloseCode.GOING_AWAY
        await counter.wait_closed()
        assert counter.close_code == CloseCode.GOING_AWAY
    assert server.wait() == 0


async def test_stopping_does_not_wait_for_a_stalled_reader_or_a_half_open_handshake(
    server: ChatServer,
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as half_open:
        half_open.sendall(b"GET / HTTP/1.1\r\n")
        async with Peer.signed_in(server.url, "alice") as alice:
            alice.socket.transport.pause_reading()
            began = time.monotonic()
            assert await asyncio.to_thread(server.stop) == 0
            assert time.monotonic() - began < 10, "a handshake may take as long"
            alice.socket.transport.abort()


@pytest.mark.promise(
    1,
    fault="`kill -9` of the server while sends are pipelined, three times",
    result="every acknowledged message is stored, with its number",
)
async def test_acknowledged_messages_survive_kill_9_without_duplicates(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "100000", "--limits.burst", "100000")
    acknowledged: dict[str, int] = {}
    token: str | None = None
    for turn in range(3):
        async with Peer.connect(server.url) as alice:
            token = (await alice.hello("alice", token)).token or token
            await alice.join("#general")
            for number in range(300):
                cid = f"{turn}-{number}"
                await alice.post(Send(channel="#general", text=cid, cid=cid))
            while len(alice.kept(Ok)) < 100:
                await asyncio.sleep(0)
            server.kill()
            for ok in alice.received:
                if isinstance(ok, Ok) and ok.cid and ok.seq:
                    acknowledged[ok.cid] = ok.seq
        server.start()
    async with Peer.connect(server.url) as alice:
        await alice.hello("alice", token)
        seqs: list[int] = []
        stored: dict[str, int] = {}
        complete = False
        while not complete:
            after = seqs[-1] if seqs else 0
            page = await alice.call(History(channel="#general", after=after, limit=200), Page)
            seqs += [item.seq for item in page.items]
            for item in page.items:
                if item.cid:
                    assert item.cid not in stored
                    stored[item.cid] = item.seq
            complete = page.complete
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(acknowledged) >= 300
    assert acknowledged.items() <= stored.items()


async def test_a_restart_keeps_memberships_markers_and_topics(server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        before = await alice.join("#room")
        token = alice.token
    server.restart()
    async with Peer.connect(server.url) as alice:
        welcome = await alice.hello("alice", token)
        assert {m.channel: m.epoch for m in welcome.channels}["#room"] == before.epoch
        after = await alice.join("#room")
        assert (after.head, after.role) == (before.head, "owner")


# Its second address fails when the server starts to listen.
START_BADLY = """
    import sys
    from chat.server import app, cli

    bind = app.bind

    def bind_badly(hosts, port):
        dead, = bind(hosts, 0)
        dead.close()
        return [*bind(hosts, port), dead]

    app.bind = bind_badly
    sys.exit(cli.main(sys.argv[1:]))
"""


def test_failed_listen_prints_one_line_and_releases_everything(
    tmp_path: Path,
) -> None:
    server = ChatServer(tmp_path / "data")
    place = ("--host", "127.0.0.1", "--port", str(server.port), "--data", str(server.data))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(START_BADLY), *place],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=server.environment(),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == ["chat-server: cannot listen: Bad file descriptor"]
    assert done.stdout == ""
    assert sorted(path.name for path in server.data.iterdir()) == ["chat.db", "chat.db.lock"]
    with server:
        assert server.health()["status"] == "ok"
