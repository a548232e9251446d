"""The port for operators: what it answers, and what the server counts for it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chat.errors import ErrorCode, StartupError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Hello, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Ok
from chat.server.app import App
from chat.server.cli import main
from chat.server.config.settings import ServerSettings
from chat.server.config.sources import load
from chat.server.transport.listening import HostPort
from tests.serving import PATIENCE, ChatServer, ConnectionOver, InstalledServer, Peer, eventually

CALLS_OF_A_SCRAPE = 5_000
"""Most functions that a scrape may call; it was 3,500."""
ANY_PORT = ("--metrics-listen", ":0")


def fetch(server: ChatServer, path: str, method: str = "GET") -> tuple[int, str]:
    """Request a page of the port for operators; return status and body."""
    line = server.wait_for_line("  metrics ")
    address = re.search(r"http://([\d.]+):(\d+)/metrics", line)
    assert address is not None, line
    connection = HTTPConnection(address[1], int(address[2]), timeout=PATIENCE)
    with closing(connection):
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def scrape(server: ChatServer) -> dict[str, float]:
    """Return the scraped samples by name, with the value of their label."""
    status, text = fetch(server, "/metrics")
    assert status == 200
    return {
        f"{sample.name}{''.join(f'/{value}' for value in sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counts(server: ChatServer, name: str, value: float) -> Callable[[], bool]:
    """Return whether a sample has reached a value, whenever asked."""
    return lambda: scrape(server).get(name, 0) == value


def test_the_port_for_operators_serves_health_and_metrics_only(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*ANY_PORT)
    assert fetch(server, "/readyz") == (200, "ready\n")
    assert fetch(server, "/healthz") == (200, server.get("/healthz")[1])
    assert fetch(server, "/metrics", "HEAD") == (200, "")
    assert fetch(server, "/metrics", "POST")[0] == 405
    assert fetch(server, "/echo") == (404, "Not found. Paths: /healthz, /readyz, /metrics\n")


async def test_a_stopping_server_is_not_ready_until_its_end(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*ANY_PORT, "--close-timeout", "4")
    async with Peer.connect(server.url + "/echo") as deaf:
        deaf.socket.transport.pause_reading()  # it does not answer the close
        os.kill(server.pid, signal.SIGTERM)
        not_ready = (503, "the server is stopping\n")
        eventually(lambda: fetch(server, "/readyz") == not_ready, "it is not ready")
        assert server.wait() == 0


def test_metrics_are_not_served_to_the_public(start_server: Callable[..., ChatServer]) -> None:
    server = start_server(*ANY_PORT)
    status, body = server.get("/metrics")
    assert status == 404
    assert "--metrics-listen" in body


@pytest.mark.feature("server.metrics")
async def test_messages_connections_and_resumes_are_counted(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*ANY_PORT)
    async with Peer.signed_in(server.url, "alice") as alice:
        joined = await alice.join("#tea")
        for _ in range(2):  # the second is a repetition
            await alice.call(Send(channel="#tea", text="one", cid="a"), Ok)
        refused = await alice.call(Send(channel="#other", text="two"), ErrorFrame)
        seen = scrape(server)
        assert seen["chat_connections"] == 1
        assert seen["chat_sends_total/ok"] == seen["chat_sends_total/duplicate"] == 1
        assert seen[f"chat_sends_total/{refused.code}"] == 1
        assert seen["chat_store_up"] == 1
        assert seen["chat_writes_waiting"] == 0
        assert seen["chat_batch_events_sum"] == 3  # created, joined, sent
        assert seen["chat_commit_seconds_count"] >= seen["chat_fanout_seconds_count"] >= 2
        await alice.join("#tea", ResumeFrom(epoch=joined.epoch, after=joined.head))
        await alice.join("#tea", ResumeFrom(epoch="0" * 16, after=1))
        seen = scrape(server)
        assert seen["chat_resume_total/complete"] == 1
        assert seen["chat_resume_total/page"] == 1
    eventually(counts(server, "chat_disconnects_total/1000", 1), "the end is counted")
    assert scrape(server)["chat_connections"] == 0


async def test_a_database_that_accepts_no_writes_is_visible(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*ANY_PORT)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        with closing(sqlite3.connect(server.data / "chat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE").close()
            refused = await alice.call(Send(channel="#tea", text="one"), ErrorFrame)
            assert refused.code == ErrorCode.UNAVAILABLE
            seen = scrape(server)
            assert (seen["chat_store_up"], seen["chat_sends_total/unavailable"]) == (0, 1)
            assert fetch(server, "/readyz")[0] == 503
            other.execute("ROLLBACK").close()
        eventually(counts(server, "chat_store_up", 1), "the recovery is visible")


async def test_bytes_that_wait_for_a_slow_client_are_visible(
    start_server: Callable[..., ChatServer],
) -> None:
    unlimited = (
        "--queue-bytes",
        "100000000",
        "--limits.rate",
        "100000",
        "--limits.burst",
        "100000",
    )
    server = start_server(*ANY_PORT, *unlimited)
    async with Peer.connect(server.url + "/echo", sock=server.small_socket()) as slow:
        slow.socket.transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            while scrape(server)["chat_queue_bytes"] < 100_000:  # beyond what the system buffers
                await slow.send_raw(60_000 * b"x")
    eventually(counts(server, "chat_queue_bytes", 0), "nothing waits for the lost client")


async def test_a_flood_is_visible(start_server: Callable[..., ChatServer]) -> None:
    server = start_server(*ANY_PORT, "--limits.burst", "5", "--limits.rate", "1")
    async with Peer.signed_in(server.url, "mallory") as mallory:
        with suppress(ConnectionOver):
            for _ in range(1_000):
                await mallory.call(Send(channel="#tea", text="x"), ErrorFrame)
    eventually(counts(server, "chat_disconnects_total/4009", 1), "the flood was ended")
    assert scrape(server)["chat_rate_limited_total"] > 5


async def test_failed_sign_ins_and_refused_connections_are_visible(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(
        *(*ANY_PORT, "--address-connections", "1"),
        *("--exempt-address", "203.0.113.0/24", "--registration", "closed"),
    )
    server.administer("user", "add", "alice")
    async with Peer.connect(server.url) as peer:
        hello = Hello(v=PROTOCOL_VERSION, name="alice", password="a wrong password")
        await peer.call(hello, ErrorFrame)
        async with Peer.connect(server.url) as second:
            assert await second.close_code() == 4003
    eventually(counts(server, "chat_refused_connections_total", 1), "the refusal is counted")
    seen = scrape(server)
    assert seen["chat_failed_sign_ins_total/bad_password"] == 1
    assert seen["chat_passwords_waiting"] == 0


async def test_a_fan_out_is_counted_once_for_all_followers(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*ANY_PORT)
    async with AsyncExitStack() as peers:
        everybody = [
            await peers.enter_async_context(Peer.signed_in(server.url, f"user{number}"))
            for number in range(20)
        ]
        for peer in everybody:
            await peer.join("#tea")
        before = scrape(server)
        await everybody[0].say("one", "#tea")
        for peer in everybody:
            await peer.next_event("#tea", "message")
        after = scrape(server)
    for name in ("chat_fanout_seconds_count", "chat_commit_seconds_count", "chat_batch_events_sum"):
        assert after[name] == before[name] + 1, name


async def test_a_scrape_costs_no_more_with_more_connections(tmp_path: Path) -> None:
    settings = ServerSettings(
        data=tmp_path, host=["127.0.0.1"], port=0, metrics_listen=HostPort("127.0.0.1", 0)
    )
    app = App(settings, asyncio.get_running_loop())
    await app.start()
    try:
        async with AsyncExitStack() as peers:
            calls = []
            for _ in range(3):  # the first scrape fills caches
                for _ in range(20):
                    await peers.enter_async_context(Peer.connect(app.addresses[0] + "/echo"))
                calls.append(await calls_of_a_scrape(app.metrics_addresses[0]))
        assert calls[2] - calls[1] < 20
        assert calls[2] < CALLS_OF_A_SCRAPE
    finally:
        await app.stop()


async def calls_of_a_scrape(address: str) -> int:
    """Return the number of functions called in this thread while the server answers a scrape."""
    host, port = address.removeprefix("http://").split(":")
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    reader, writer = await asyncio.open_connection(host, int(port))
    sys.setprofile(count)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
    finally:
        sys.setprofile(None)
    writer.close()
    assert b"chat_connections" in answer
    return calls


def test_the_library_is_not_imported_unless_asked_for() -> None:
    code = "import sys, chat.server.app\nassert 'prometheus_client' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_the_answer_says_what_to_install(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "prometheus_client.py").write_text("raise ModuleNotFoundError('not installed')")
    server = InstalledServer(tmp_path / "data", *ANY_PORT, env={"PYTHONPATH": str(hidden)})
    with server:
        status, body = fetch(server, "/metrics")
        assert status == 501
        assert "`pip install prometheus-client`" in body
        server.wait_for_line("WARNING .*prometheus-client is not installed")
        assert fetch(server, "/readyz") == (200, "ready\n")


def test_a_taken_port_stops_the_start_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arguments = ["--port", "0", "--data", str(tmp_path)]
        assert main([*arguments, "--metrics-listen", f"127.0.0.1:{port}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}" in line
    assert "choose another port with --metrics-listen" in line


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":3001", HostPort("127.0.0.1", 3001)),
        ("[::1]:0", HostPort("::1", 0)),
        ("localhost:65535", HostPort("localhost", 65_535)),
    ],
)
def test_an_address_is_read_from_host_and_port(text: str, address: HostPort) -> None:
    settings = load(ServerSettings, "chat-server", ["--metrics-listen", text])
    assert settings.metrics_listen == address


@pytest.mark.parametrize("text", ["3001", "", "::1:3001", "host:", "host:65536", "host:１", ":-1"])
def test_another_address_is_refused(text: str) -> None:
    with pytest.raises(StartupError, match=f"--metrics-listen {text!r}"):
        load(ServerSettings, "chat-server", ["--metrics-listen", text])
