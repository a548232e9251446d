"""Connection limits and admission control: by address, user and server."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidMessage

from chat.errors import CloseCode
from chat.protocol.codec import encode
from chat.protocol.commands import Hello, Join, Leave, Ping
from chat.protocol.frames import ErrorFrame, Ok, Welcome
from chat.protocol.items import Event
from chat.protocol.values import Wire
from chat.rate import BUCKETS_MAX
from chat.server.transport.limits import (
    EXPLAINED_MAX,
    AdmissionQueue,
    ConnectionLimiter,
    ConnectionLimits,
    network,
    source_of,
)
from tests.serving import (
    PATIENCE,
    ChatServer,
    ConnectionOver,
    InstalledServer,
    Peer,
    eventually,
)

NOBODY_EXEMPT = ("--exempt-address", "192.0.2.0/24")
SOMEBODY_ELSE = ("127.0.0.2", 0)

StartServer = Callable[..., ChatServer]


def plain(server: ChatServer) -> socket.socket:
    """Connect, and send nothing."""
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE)


def is_cut(silent: socket.socket) -> bool:
    """Whether the server ended a silent connection without sending a byte."""
    try:
        return silent.recv(1) == b""
    except ConnectionResetError:
        return True


def healthy_from_elsewhere(server: ChatServer) -> bool:
    """Whether another address is still served."""
    with socket.create_connection(
        ("127.0.0.1", server.port), PATIENCE, source_address=SOMEBODY_ELSE
    ) as asking:
        asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: chat\r\n\r\n")
        return asking.recv(64).startswith(b"HTTP/1.1 200")


async def come_in_once_there_is_a_place(server: ChatServer, name: str, **options: Any) -> None:
    """Sign in; retry until the server has noticed that others have disconnected."""

    async def comes_in() -> bool:
        try:
            async with Peer.signed_in(server.url, name, **options) as peer:
                await peer.settle()
        except (OSError, InvalidMessage, ConnectionClosed, ConnectionOver):
            return False
        return True

    async with asyncio.timeout(PATIENCE):
        while not await comes_in():
            await asyncio.sleep(0.1)


@pytest.mark.promise(
    5,
    fault="one address opens connections beyond its limit",
    result="they are closed with 4003, further ones aborted; other addresses are served",
)
async def test_connections_per_address_are_limited(start_server: StartServer) -> None:
    server = start_server(*NOBODY_EXEMPT, "--address-connections", "3", "--hello-timeout", "60")
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.connect(server.url)) for _ in range(3)]
        refused = await stack.enter_async_context(Peer.connect(server.url))
        assert await refused.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        assert "the maximum" in (refused.socket.close_reason or "")
        async with Peer.signed_in(server.url, "bob", local_addr=SOMEBODY_ELSE) as bob:
            await bob.settle()
        await peers[0].socket.close()
        await come_in_once_there_is_a_place(server, "alice")


async def test_connections_per_person_are_limited(start_server: StartServer) -> None:
    server = start_server("--person-connections", "2")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Peer.signed_in(server.url, "alice"))
        token = first.token
        await stack.enter_async_context(Peer.signed_in(server.url, "alice", token))
        third = await stack.enter_async_context(Peer.connect(server.url))
        await third.send_raw(encode(Hello(v=1, name="alice", token=token)).decode())
        assert await third.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        assert "limit of 2 connections" in (third.socket.close_reason or "")
        await stack.enter_async_context(Peer.signed_in(server.url, "bob"))
        await first.socket.close()
        await come_in_once_there_is_a_place(server, "alice", token=token)


async def test_refused_address_that_reconnects_is_aborted_without_an_answer(
    start_server: StartServer,
) -> None:
    server = start_server(*NOBODY_EXEMPT, "--address-connections", "2", "--close-timeout", "4")
    with ExitStack() as stack:
        for _ in range(2 + 8):
            stack.enter_context(plain(server))
        for _ in range(50):
            silent = plain(server)
            assert is_cut(silent)
            silent.close()
        assert healthy_from_elsewhere(server)


async def test_connection_rate_per_address_is_limited(start_server: StartServer) -> None:
    burst, rate = 5, 0.5
    server = start_server(
        *NOBODY_EXEMPT, *("--address-burst", str(burst), "--address-rate", str(rate))
    )
    token = "t" * 32

    async def refusal() -> str | None:
        """Connect; return the reason of a refusal, or None."""
        async with Peer.connect(server.url) as peer:
            try:
                await peer.hello("alice", token)
            except (ConnectionClosed, ConnectionOver):
                assert await peer.close_code() == CloseCode.TOO_MANY_CONNECTIONS
                return peer.socket.close_reason
            return None

    async with asyncio.timeout(PATIENCE):
        came, began = 0, time.monotonic()
        while (why := await refusal()) is None:
            came += 1
        assert burst <= came <= burst + (time.monotonic() - began) * rate
        assert "too often" in why
        assert healthy_from_elsewhere(server)
        while await refusal() is not None:
            await asyncio.sleep(0.5)


async def test_total_of_connections_is_limited(start_server: StartServer) -> None:
    server = start_server("--connections", "4")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(plain(server))
        async with Peer.connect(server.url) as refused:
            assert await refused.close_code() == CloseCode.TOO_MANY_CONNECTIONS
            assert "the server is full" in (refused.socket.close_reason or "")
    await come_in_once_there_is_a_place(server, "alice")


async def test_connections_never_exceed_the_open_files_limit(
    tmp_path: Path,
) -> None:
    class Confined(InstalledServer):
        def command(self, *arguments: str) -> list[str]:
            return ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *super().command(*arguments)]

    with Confined(tmp_path / "data") as server, ExitStack() as stack:
        async with Peer.signed_in(server.url, "alice") as alice:
            await alice.join("#general")
            for _ in range(150):
                stack.enter_context(plain(server))
            await alice.say("still here")
            assert is_cut(stack.enter_context(plain(server))), "one more is not left waiting"
            stack.close()
            await come_in_once_there_is_a_place(server, "bob")
        assert "Too many open files" not in server.text


@pytest.mark.promise(
    5,
    fault="TLS handshakes that are started and never finished",
    result="they count as connections of their address; others are served",
)
async def test_unfinished_tls_handshakes_are_counted(
    start_server: StartServer, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    server = start_server(
        *NOBODY_EXEMPT,
        *("--address-connections", "3", "--tls-cert", str(cert), "--tls-key", str(key)),
    )
    trust = ssl.create_default_context(cafile=str(cert))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(plain(server)).sendall(b"\x16\x03\x01")
        async with Peer.connect(server.url, ssl=trust) as refused:
            assert await refused.close_code() == CloseCode.TOO_MANY_CONNECTIONS
        async with Peer.signed_in(server.url, "bob", ssl=trust, local_addr=SOMEBODY_ELSE) as bob:
            await bob.settle()

    await come_in_once_there_is_a_place(server, "alice", ssl=trust)
    assert server.stop() == 0


@pytest.mark.promise(
    5,
    fault="300 clients sign in at once, more than finish within `--sign-in-patience`",
    result="some are closed with 4010 and a time to retry; all sign in; other commands continue",
)
async def test_sign_ins_of_a_crowd_are_spread_and_all_succeed(
    start_server: StartServer,
) -> None:
    server = start_server(
        *("--sign-in-patience", "0.001", "--hello-timeout", "60", "--heartbeat", "60")
    )
    waits: list[float] = []
    all_are_here = asyncio.Barrier(300)

    async def come_in(name: str) -> None:
        is_first = True
        while True:
            async with Peer.connect(server.url) as peer:
                if is_first:
                    await all_are_here.wait()
                    is_first = False
                await peer.post(Hello(v=1, name=name))
                answer = await peer.next(
                    Wire, lambda frame: isinstance(frame, Welcome | ErrorFrame)
                )
                if isinstance(answer, Welcome):
                    return
                assert isinstance(answer, ErrorFrame)
                assert (answer.code, answer.retryable) == ("unavailable", True)
                assert answer.retry_after is not None
                assert await peer.close_code() == CloseCode.OVERLOADED
            waits.append(answer.retry_after)
            await asyncio.sleep(answer.retry_after)

    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        async with asyncio.timeout(3 * PATIENCE):
            async with asyncio.TaskGroup() as crowd:
                for number in range(300):
                    crowd.create_task(come_in(f"user-{number}"))
                for number in range(20):
                    await alice.say(str(number))
    assert waits, "no client had to wait"
    assert all(0 < seconds < 60 for seconds in waits)


@pytest.mark.promise(
    5,
    fault="a peer that never reads, or reads single bytes, with few queued bytes",
    result="it is disconnected within the write timeout and a heartbeat",
)
@pytest.mark.parametrize("at_a_time", [0, 1])
async def test_peer_that_never_reads_is_closed_even_with_few_buffered_bytes(
    start_server: StartServer, at_a_time: int
) -> None:
    server = start_server(
        *("--write-timeout", "1", "--heartbeat", "6", "--close-timeout", "0.5"),
        *("--queue-bytes", str(64 * 1024 * 1024), "--limits.text", "50000"),
        *("--limits.rate", "100000", "--limits.burst", "100000"),
    )
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stalled.connect(("127.0.0.1", server.port))
            await asyncio.to_thread(_sign_in_by_hand, stalled, "stalled")
            await alice.next(Event, lambda event: event.author == "stalled")
            pinging = threading.Thread(target=_ping, args=(stalled, at_a_time), daemon=True)
            pinging.start()
            sent, deadline = 0, time.monotonic() + 3 * PATIENCE  # 16 MB are stored meanwhile
            while pinging.is_alive():
                assert time.monotonic() < deadline, "the peer that never reads was not cut"
                if sent < 320:  # about 16 MB: less than its queue holds
                    await asyncio.gather(*(alice.say("x" * 50_000) for _ in range(20)))
                    sent += 20
                else:
                    await asyncio.sleep(0.05)
        assert server.health()["connections"] == 1
        texts = [event for event in alice.kept(Event) if event.kind == "message"]
        assert len(texts) == sent


def _sign_in_by_hand(peer: socket.socket, name: str) -> None:
    """Join `#general`; return when the peer follows it: later messages are queued for it."""
    peer.sendall(
        b"GET / HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for command in (
        f'{{"type":"hello","v":1,"name":"{name}"}}',
        '{"type":"join","channel":"#general"}',
    ):
        data = command.encode()
        peer.sendall(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)
    received = b""
    while b'"type":"joined"' not in received:
        data = peer.recv(1_024)
        assert data, "the connection was closed"
        received += data


def _ping(peer: socket.socket, at_a_time: int) -> None:
    """Send signs of life, and read so many bytes with each, until the connection ends."""
    try:
        while True:
            time.sleep(0.1)
            peer.sendall(b"\x89\x80\0\0\0\0")
            peer.recv(at_a_time)
    except OSError:
        return


@asynccontextmanager
async def proxied(server: ChatServer, forwarded: str) -> AsyncIterator[Peer]:
    """Connect as a proxy that forwards a client's connection."""
    headers = {"X-Forwarded-For": forwarded}
    async with Peer.connect(server.url, additional_headers=headers) as peer:
        yield peer


async def claim(server: ChatServer, name: str, forwarded: str | None = None) -> ErrorFrame | None:
    """Claim a name; return the reason of a refusal, or None."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with Peer.connect(server.url, additional_headers=headers) as peer:
        await peer.post(Hello(v=1, name=name, token="t" * 32))
        answer = await peer.next(Wire, lambda frame: isinstance(frame, Welcome | ErrorFrame))
        return answer if isinstance(answer, ErrorFrame) else None


@pytest.mark.promise(
    5,
    fault="one address claims many new names",
    result="30 at once and in 10 minutes, then `rate_limited`; known names and other addresses "
    "are let in",
)
async def test_new_names_per_address_are_limited(start_server: StartServer) -> None:
    server = start_server(*NOBODY_EXEMPT, "--sign-ups", "3")
    for number in range(3):
        assert await claim(server, f"user{number}") is None
    refused = await claim(server, "onemore")
    assert refused is not None
    assert (refused.code, refused.retryable) == ("rate_limited", True)
    assert refused.retry_after is not None
    assert 100 < refused.retry_after <= 200
    assert "new names" in refused.message
    assert await claim(server, "user0") is None, "it is known"
    async with Peer.signed_in(server.url, "bob", local_addr=SOMEBODY_ELSE) as bob:
        await bob.settle()


async def test_new_names_from_loopback_are_not_limited(start_server: StartServer) -> None:
    server = start_server("--sign-ups", "1")
    for number in range(10):
        assert await claim(server, f"user{number}") is None


async def test_undeclared_proxy_counts_as_one_address_and_is_logged_once(
    start_server: StartServer,
) -> None:
    server = start_server("--sign-ups", "2")
    assert await claim(server, "user0", "203.0.113.1") is None
    assert await claim(server, "user1", "203.0.113.2") is None
    refused = await claim(server, "user2", "203.0.113.3")
    assert refused is not None
    assert refused.code == "rate_limited"
    assert await claim(server, "local") is None, "who comes without a proxy is not counted"
    server.wait_for_line("--trusted-proxy 127.0.0.1")
    assert server.text.count("--trusted-proxy 127.0.0.1") == 1


async def test_new_names_behind_a_declared_proxy_are_counted_per_client_address(
    start_server: StartServer,
) -> None:
    server = start_server("--sign-ups", "1", "--trusted-proxy", "127.0.0.0/8")
    assert await claim(server, "user0", "198.51.100.9, 203.0.113.1") is None
    assert await claim(server, "user1", "198.51.100.9, 203.0.113.2") is None
    refused = await claim(server, "user2", "192.0.2.77, 203.0.113.1, 127.0.0.3")
    assert refused is not None, "what a peer writes into the header itself does not count"
    assert "--trusted-proxy" not in server.text


async def test_connections_behind_a_declared_proxy_are_counted_per_client_address(
    start_server: StartServer,
) -> None:
    server = start_server("--trusted-proxy", "127.0.0.1", "--address-connections", "2")
    async with AsyncExitStack() as stack:
        for name, address in (("a", "203.0.113.1"), ("b", "203.0.113.1"), ("c", "203.0.113.2")):
            peer = await stack.enter_async_context(proxied(server, address))
            await peer.hello(name)
        refused = await stack.enter_async_context(proxied(server, "203.0.113.1"))
        assert await refused.close_code() == CloseCode.TOO_MANY_CONNECTIONS
    eventually(lambda: server.health()["connections"] == 0, "all clients have disconnected")
    async with proxied(server, "203.0.113.1") as again:
        await again.hello("again")


async def test_people_at_one_address_share_the_rate_limit_of_the_address(
    start_server: StartServer,
) -> None:
    server = start_server(
        *(*NOBODY_EXEMPT, "--address-people", "2"),
        *("--limits.rate", "0.01", "--limits.burst", "20"),
    )
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(Peer.signed_in(server.url, f"user{number}"))
            for number in range(4)
        ]
        for _ in range(15):
            for peer in people:
                await peer.post(Ping())
        for peer in people:
            await peer.until(partial(has_answers, peer, 15), "fifteen answers")
        passed = sum(len(peer.kept(Ok)) for peer in people)
        assert passed == 2 * 20 - len(people), "each hello counts as well"


def has_answers(peer: Peer, count: int) -> bool:
    """Whether so many commands were answered with `ok` or `error`."""
    return len(peer.kept(Ok)) + len(peer.kept(ErrorFrame)) >= count


async def test_creating_and_leaving_channels_in_a_loop_is_limited(
    start_server: StartServer,
) -> None:
    server = start_server(
        "--limits.channels", "5", "--limits.rate", "100000", "--limits.burst", "100000"
    )
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "bob") as bob,
    ):
        for number in range(5):
            await alice.join(f"#loop{number}")
            await alice.call(Leave(channel=f"#loop{number}"))
        refused = await alice.call(Join(channel="#loop5"), ErrorFrame)
        assert refused.code == "rate_limited"
        assert refused.retry_after is not None
        assert 60 < refused.retry_after <= 720
        await alice.join("#loop0")
        await bob.join("#bob")


def door(
    *,
    total: int = 1_000,
    per_source: int = 3,
    rate: float = 1.0,
    burst: int = 1_000,
    exempt: str = "",
    proxies: Sequence[str] = (),
) -> ConnectionLimiter:
    networks = [network(exempt)] if exempt else []
    limits = ConnectionLimits(
        total=total,
        per_source=per_source,
        rate=rate,
        burst=burst,
        exempt=networks,
        proxies=[network(proxy) for proxy in proxies],
    )
    return ConnectionLimiter(limits)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_source_is_an_ipv6_subnet_or_an_ipv4_address_even_if_mapped(
    address: str, source: str
) -> None:
    assert source_of(address) == source


def test_limiter_refuses_a_full_source_until_a_connection_is_removed() -> None:
    entrance = door(per_source=3)
    assert [entrance.add("192.0.2.7", 0) for _ in range(3)] == [None] * 3
    refusal = entrance.add("192.0.2.7", 0)
    assert refusal is not None
    assert "3 connections" in refusal.reason
    assert entrance.add("192.0.2.8", 0) is None, "another address is not held up"
    entrance.remove("192.0.2.7")  # the connection whose refusal was explained
    entrance.remove("192.0.2.7")
    assert entrance.add("192.0.2.7", 0) is None


def test_addresses_of_one_ipv6_subnet_share_one_limit() -> None:
    entrance = door(per_source=2)
    assert entrance.add("2001:db8::1", 0) is None
    assert entrance.add("2001:db8::2", 0) is None
    assert entrance.add("2001:db8::3", 0) is not None
    assert entrance.add("2001:db8:0:1::1", 0) is None


def test_first_refusals_are_explained_and_the_rest_are_not_counted() -> None:
    entrance = door(per_source=1)
    entrance.add("192.0.2.7", 0)
    refusals = [entrance.add("192.0.2.7", 0) for _ in range(100)]
    assert [bool(refusal and refusal.is_explained) for refusal in refusals] == (
        [True] * EXPLAINED_MAX + [False] * (100 - EXPLAINED_MAX)
    )
    assert entrance.connections == 1 + EXPLAINED_MAX


def test_connecting_too_often_is_refused_until_the_rate_recovers() -> None:
    entrance = door(per_source=1_000, rate=2.0, burst=5)
    assert [entrance.add("192.0.2.7", 0) for _ in range(5)] == [None] * 5
    refusal = entrance.add("192.0.2.7", 0)
    assert refusal is not None
    assert "too often" in refusal.reason
    assert entrance.add("192.0.2.7", 0.5) is None


def test_exempt_addresses_are_limited_by_the_total_only() -> None:
    entrance = door(total=10, per_source=1, burst=1, exempt="127.0.0.0/8")
    assert [entrance.add("127.0.0.1", 0) for _ in range(10)] == [None] * 10
    refusal = entrance.add("127.0.0.1", 0)
    assert refusal is not None
    assert "the server is full" in refusal.reason


def test_every_refusal_reason_fits_into_a_close_frame() -> None:
    entrances = door(total=0), door(per_source=10_000, burst=10_001), door(burst=1)
    for entrance in entrances:
        while (refusal := entrance.add("2001:db8::1", 0)) is None:
            pass
        room_for_digits = len("1,000,000,000") - len("10,000")
        assert len(refusal.reason.encode()) + room_for_digits <= 123


def test_number_of_tracked_sources_is_bounded() -> None:
    entrance = door()
    for number in range(BUCKETS_MAX + 1_000):
        address = f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"
        assert entrance.add(address, 0) is None
        entrance.remove(address)
    assert entrance.connections == 0
    assert entrance.tracked_sources == BUCKETS_MAX


def test_network_refuses_text_that_is_no_address_or_network() -> None:
    with pytest.raises(ValueError, match="example"):
        network("example")


class TestProxies:
    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            (["203.0.113.5"], "203.0.113.5"),
            (["198.51.100.1, 203.0.113.5"], "203.0.113.5"),
            (["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
            (["203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            (["203.0.113.5,10.0.0.3 ,10.0.0.2"], "203.0.113.5"),
            (["10.0.0.4, 10.0.0.2"], "10.0.0.4"),
            (["203.0.113.5:4711"], "203.0.113.5"),
            (["2001:db8::7"], "2001:db8::7"),
            (["[2001:db8::7]:4711"], "2001:db8::7"),
            (["::ffff:203.0.113.5"], "203.0.113.5"),
            (["203.0.113.5, unknown"], "10.0.0.1"),
            (["203.0.113.5, nobody, 10.0.0.2"], "10.0.0.2"),
            ([""], "10.0.0.1"),
            ([], "10.0.0.1"),
        ],
    )
    def test_client_address_is_the_last_hop_that_is_no_declared_proxy(
        self, forwarded: list[str], address: str
    ) -> None:
        assert door(proxies=["10.0.0.0/8"]).client_address("10.0.0.1", forwarded) == address

    def test_proxied_connections_are_counted_per_client_address(
        self,
    ) -> None:
        entrance = door(per_source=2, proxies=["10.0.0.1"])
        for number in range(10):
            assert entrance.add("10.0.0.1", 0) is None
            assert entrance.move("10.0.0.1", f"203.0.113.{number // 2}", 0) is None
        assert entrance.add("10.0.0.1", 0) is None
        refusal = entrance.move("10.0.0.1", "203.0.113.0", 0)
        assert refusal is not None
        assert "2 connections" in refusal.reason
        entrance.remove("203.0.113.0")
        assert entrance.connections == 10

    def test_only_exempt_addresses_without_a_proxy_are_unlimited(self) -> None:
        entrance = door(exempt="127.0.0.0/8")
        assert entrance.source("127.0.0.1", is_proxied=False) is None
        assert entrance.source("127.0.0.1", is_proxied=True) == "127.0.0.1"
        assert entrance.source("192.0.2.7", is_proxied=False) == "192.0.2.7"


def longest(_low: float, high: float) -> float:
    return high


class Gate:
    """A queue, and the admitted keys in their order."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self.queue = queue
        self.begun: list[int | str] = []
        self.tasks: dict[int | str, asyncio.Task[float]] = {}

    async def enter(self, *keys: int | str, now: float = 0.0) -> None:
        """Let each key enter; afterwards it is admitted, waits, or was refused."""

        async def come(key: int | str) -> float:
            wait = await self.queue.enter(key, now)
            if not wait:
                self.begun.append(key)
            return wait

        for key in keys:
            self.tasks[key] = asyncio.create_task(come(key))
        await asyncio.sleep(0)

    async def leave(self, *keys: int | str, now: float = 1.0) -> None:
        """Let each key leave, and then those admitted in its place."""
        for key in keys:
            if (task := self.tasks.pop(key, None)) is not None and not task.done():
                task.cancel()
            self.queue.leave(key, now)
        await asyncio.sleep(0)


async def test_queue_admits_up_to_its_slots_then_in_order_of_arrival() -> None:
    gate = Gate(AdmissionQueue(slots=2, max_wait=60.0))
    await gate.enter(*range(5))
    assert gate.begun == [0, 1]
    await gate.leave(1, 0)
    assert gate.begun == [0, 1, 2, 3]
    assert gate.queue.waiting == 1
    await gate.leave(4)


async def test_key_that_leaves_while_waiting_is_not_admitted() -> None:
    gate = Gate(AdmissionQueue(slots=1, max_wait=60.0))
    await gate.enter(*"abc")
    await gate.leave("b", "a")
    assert gate.begun == ["a", "c"]


async def test_slot_of_a_cancelled_wait_goes_to_the_next_key() -> None:
    gate = Gate(AdmissionQueue(slots=1, max_wait=60.0))
    await gate.enter(*"abc")
    gate.tasks["b"].cancel()  # it leaves a little later, like a cancelled task
    await gate.leave("a")
    await gate.leave("b")
    assert gate.begun == ["a", "c"]


async def test_key_that_would_wait_too_long_gets_a_retry_time() -> None:
    gate = Gate(AdmissionQueue(slots=1, max_wait=2.5, spread=longest))
    await gate.enter("first")
    await gate.leave("first")  # each takes a second
    await gate.enter(*"abcd", now=1.0)
    assert await gate.tasks["d"] == 6.0, "three seconds, spread up to twice as many"
    assert gate.begun == ["first", "a"]
    assert gate.queue.waiting == 2
    await gate.leave(*"cba")


async def test_leaving_twice_or_without_entering_frees_no_slot() -> None:
    gate = Gate(AdmissionQueue(slots=1, max_wait=60.0))
    await gate.enter(*"abc")
    await gate.leave("nobody", "a", "a")
    assert gate.begun == ["a", "b"]
    await gate.leave("c")


@given(
    places=st.integers(1, 4),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60),
)
def test_queue_never_exceeds_its_slots_and_never_leaves_a_slot_free_while_keys_wait(
    places: int, moves: list[tuple[bool, int]]
) -> None:
    async def move() -> None:
        gate, there = Gate(AdmissionQueue(places, max_wait=1e9)), list[int]()
        for comes, key in moves:
            before = len(gate.begun)
            if comes and key not in there:
                there.append(key)
                await gate.enter(key)
            elif not comes:
                is_next = key in there[:places] and len(there) > places
                expected = there[places : places + 1] if is_next else []
                there = [each for each in there if each != key]
                await gate.leave(key)
                assert gate.begun[before:] == expected, "in their order"
            assert gate.queue.waiting == max(0, len(there) - places)
        await gate.leave(*reversed(there))

    asyncio.run(move())
