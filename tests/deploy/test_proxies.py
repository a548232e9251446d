"""Behind nginx, HAProxy and Caddy, as the manual configures them: clients notice nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from chat.errors import CloseCode
from chat.protocol.commands import Hello
from chat.protocol.frames import ErrorFrame
from tests.client.piped import Client, Piped
from tests.deploy.proxies import PROXIES, Proxy
from tests.serving import PATIENCE, ChatServer, Peer

pytestmark = pytest.mark.timeout(300)

StartProxy = Callable[..., Proxy]
BEHIND = ("--trusted-proxy", "127.0.0.1")
NEAR, FAR = ("127.0.0.2", 0), ("127.0.0.3", 0)
"""Addresses of two clients; the proxy connects from 127.0.0.1."""
LONGEST_WAIT = 2 * PATIENCE
"""Seconds for clients that reconnect, with growing pauses, while the machine is busy."""


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Start a proxy: `start_proxy("nginx", server, changes)`; it ends with the test."""
    with ExitStack() as running:

        def start(name: str, server: ChatServer, changes: dict[str, str] | None = None) -> Proxy:
            return running.enter_context(PROXIES[name](server, tmp_path / name, changes))

        yield start


def client(proxy: Proxy, home: Path, path: str = "", name: str = "bot") -> Client:
    """Return a real client that trusts the proxy's certificate."""
    made = Client(home, proxy.url + path, name)
    made.variables["SSL_CERT_FILE"] = str(proxy.certificate)
    return made


def status(proxy: Proxy, path: str) -> int:
    """Request a page over HTTPS; return the status."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", proxy.port, timeout=PATIENCE, context=proxy.trust
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("name", PROXIES)
def test_clients_connect_with_tls_to_a_host_and_to_a_path(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy, tmp_path: Path
) -> None:
    server = start_server(*BEHIND, "--public-url", "wss://chat.example.org")
    proxy = start_proxy(name, server)
    for number, path in enumerate(("", "/chat", "/chat/")):
        person = client(proxy, tmp_path, path, f"user{number}")
        done = person.run("send", "general", f"by {path}")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"by {path}\n" in person.run("tail", "general").stdout
    for path in ("/healthz", "/chat/healthz"):
        assert status(proxy, path) == 200
    for path in ("/readyz", "/chat/readyz"):
        assert status(proxy, path) == 404


@pytest.mark.parametrize("name", PROXIES)
async def test_web_pages_of_the_public_url_may_connect(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy
) -> None:
    server = start_server(*BEHIND, "--public-url", "wss://chat.example.org")
    proxy = start_proxy(name, server)
    own = {"Origin": "https://chat.example.org"}
    async with Peer.connect(proxy.url, ssl=proxy.trust, additional_headers=own) as page:
        await page.hello("alice")


@pytest.mark.parametrize("name", PROXIES)
async def test_bans_and_the_log_use_the_clients_address(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy
) -> None:
    server = start_server(*BEHIND)
    proxy = start_proxy(name, server)
    forged = {"X-Forwarded-For": FAR[0]}
    async with Peer.signed_in(proxy.url, "alice", ssl=proxy.trust, local_addr=FAR) as alice:
        async with Peer.connect(
            proxy.url, ssl=proxy.trust, local_addr=NEAR, additional_headers=forged
        ) as guest:
            wrong = Hello(v=1, name="alice", password="a wrong password")
            assert isinstance(await guest.call(wrong, ErrorFrame), ErrorFrame)
            await asyncio.to_thread(server.wait_for_line, f"{NEAR[0]}: failed sign-in as alice")
            banned = await asyncio.to_thread(server.administer, "ban", NEAR[0], "--force")
            assert banned.returncode == 0, banned.stderr
            assert await guest.close_code() == CloseCode.BANNED
        async with Peer.connect(
            proxy.url, ssl=proxy.trust, local_addr=NEAR, additional_headers=forged
        ) as again:
            assert await again.close_code() == CloseCode.BANNED
        await alice.say("still here")
    assert f"{FAR[0]}: failed" not in server.text
    assert "--trusted-proxy" not in server.text


IDLE = {
    "nginx": {"_timeout 75s": "_timeout 5s"},
    "haproxy": {"tunnel 75s": "tunnel 5s", "client 30s": "client 5s", "server 30s": "server 5s"},
    "caddy": {},
}
"""Time-outs of the proxies, scaled down: 75 s are to a heartbeat of 20 s as 5 s are to 1 s."""


@pytest.mark.parametrize("name", PROXIES)
async def test_heartbeats_keep_idle_connections_beyond_the_proxys_time_out(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy
) -> None:
    server = start_server(*BEHIND, "--heartbeat", "1")
    proxy = start_proxy(name, server, IDLE[name])
    async with Peer.signed_in(proxy.url, "alice", ssl=proxy.trust) as alice:
        await alice.join("#general")
        await asyncio.sleep(11)  # the proxy's time-out, twice
        await alice.say("still here")


@pytest.mark.parametrize("name", [name for name, changes in IDLE.items() if changes])
async def test_idle_connections_without_heartbeats_are_closed_by_the_proxy(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy
) -> None:
    """Otherwise, the test above would show nothing."""
    server = start_server(*BEHIND, "--heartbeat", "300")
    proxy = start_proxy(name, server, IDLE[name])
    async with Peer.signed_in(proxy.url, "alice", ssl=proxy.trust) as alice:
        assert await alice.close_code() == 1006


FOLLOWERS, RELOADS = 3, 3


@pytest.mark.promise(
    3,
    fault="nginx, HAProxy or Caddy in front of the server is reloaded under load, and closes the "
    "old connections",
    result="clients reconnect by themselves; each message is stored once, every follower gets "
    "every number once, in order",
)
@pytest.mark.parametrize("name", PROXIES)
async def test_reloads_of_the_proxy_under_load_lose_nothing(
    name: str, start_server: Callable[..., ChatServer], start_proxy: StartProxy, tmp_path: Path
) -> None:
    server = start_server(*BEHIND, "--limits.burst", "10000", "--heartbeat", "1")
    proxy = start_proxy(name, server)
    sender = client(proxy, tmp_path, name="sender")
    assert sender.run("send", "#load", "the beginning", "--create").returncode == 0
    tails = []
    for number in range(FOLLOWERS):
        follower = client(proxy, tmp_path, name=f"follower{number}")
        tails.append(follower.start("tail", "#load", "-f", "--json", "--since", "0"))
        tails[-1].wait_for("the beginning")
    sending = sender.start("send", "#load", "--lines", stdin=subprocess.PIPE)
    with load(sending) as written:
        for turn in range(RELOADS):
            async with Peer.signed_in(proxy.url, f"witness{turn}", ssl=proxy.trust) as witness:
                await asyncio.to_thread(proxy.reload)
                await witness.close_code()  # all connections of before have ended
            for tail in tails:
                await asyncio.to_thread(tail.wait_for, written[-1], LONGEST_WAIT)
    assert sending.process.wait(PATIENCE) == 0
    assert sender.run("send", "#load", "the end").returncode == 0
    for tail in tails:
        tail.wait_for("the end", LONGEST_WAIT)
        entries = [json.loads(line) for line in tail.lines]
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
        texts = [entry["text"] for entry in entries if entry["kind"] == "message"]
        assert texts == ["the beginning", *written, "the end"]
        assert tail.end(signal.SIGINT) == 130


@contextmanager
def load(sending: Piped) -> Iterator[list[str]]:
    """Write about 50 lines per second to a command; the list has all lines so far."""
    written = ["message 0"]
    is_over = threading.Event()

    def write() -> None:
        assert sending.process.stdin is not None
        with sending.process.stdin as lines:
            while not is_over.wait(0.02):
                lines.write(f"{written[-1]}\n")
                lines.flush()
                written.append(f"message {len(written)}")
        written.pop()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        yield written
    finally:
        is_over.set()
        writing.join()
