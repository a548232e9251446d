"""Crowds of clients that join, leave or stall: the cost for others is bounded."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chat.protocol.commands import Join
from chat.protocol.frames import PresenceFrame
from chat.protocol.items import Event
from chat.server.channels.presence import CROWD, PULSE
from tests.serving import PATIENCE, ChatServer, Peer, eventually

StartServer = Callable[..., ChatServer]

FAST = ("--limits.rate", "100000", "--limits.burst", "100000", "--sign-in-patience", "60")
STALLED = 200
FLAPS = 100
UNNOTICED = 0.25
"""Seconds of occasional stalls on a busy machine; a stalled reader takes more."""


def memory(server: ChatServer) -> int:
    """Return the memory of the server in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


async def round_trip(speaker: Peer, listener: Peer, text: str) -> float:
    """Return the seconds from sending a message until another user receives it."""
    began = time.perf_counter()
    said = await speaker.say(text, "#room")
    await listener.next(Event, lambda event: event.seq == said.seq)
    return time.perf_counter() - began


@pytest.mark.promise(
    5,
    fault="200 readers stall at once in a busy channel",
    result="all are disconnected; the server's memory is bounded, others are not slowed down",
)
async def test_two_hundred_stalled_readers_do_not_slow_others_down(
    start_server: StartServer,
) -> None:
    server = start_server(
        *FAST, "--queue-bytes", "65536", "--close-timeout", "0.5", "--heartbeat", "60"
    )
    async with AsyncExitStack() as stack:
        alice = await stack.enter_async_context(Peer.signed_in(server.url, "alice"))
        bob = await stack.enter_async_context(Peer.signed_in(server.url, "bob"))
        for peer in (alice, bob):
            await peer.join("#room")
        before = server.burden()
        for number in range(STALLED):
            peer = await stack.enter_async_context(
                Peer.signed_in(server.url, f"stalled{number}", sock=server.small_socket())
            )
            await peer.join("#room")
            peer.socket.transport.pause_reading()
            stack.callback(peer.socket.transport.abort)
        occupied = most = memory(server)
        quiet = [await round_trip(alice, bob, "x") for _ in range(50)]
        busy: list[float] = []
        deadline = time.monotonic() + 2 * PATIENCE
        while server.burden() != before:
            assert time.monotonic() < deadline, "stalled readers were never cut"
            await asyncio.gather(*(alice.say("x" * 8_000, "#room") for _ in range(25)))
            await bob.settle()
            busy.append(await round_trip(alice, bob, "x"))
            most = max(most, memory(server))
        waited, before_that = statistics.median(busy), statistics.median(quiet)
        assert waited < max(5 * before_that, UNNOTICED), f"{waited:.4f} s, {before_that:.4f} s"
        assert most - occupied < STALLED * 300_000
        seqs = [event.seq for event in bob.received if isinstance(event, Event)]
        assert seqs == sorted(seqs)


@pytest.mark.promise(
    5,
    fault="a reader stalls while the page of its `join` is on its way",
    result="the heartbeat closes the connection, and its memory is freed",
)
async def test_reader_that_stalls_during_joined_is_closed(
    start_server: StartServer,
) -> None:
    server = start_server(*FAST, "--heartbeat", "5", "--close-timeout", "0.5")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        await asyncio.gather(*(alice.say("x" * 8_000, "#room") for _ in range(100)))
        before = server.burden()
        async with Peer.signed_in(server.url, "bob", sock=server.small_socket()) as bob:
            bob.socket.transport.pause_reading()
            await bob.post(Join(channel="#room"))
            while server.burden() != before:
                await alice.settle()  # the others are served
            bob.socket.transport.abort()


@pytest.mark.promise(
    5,
    fault="silent connections, and handshakes or `hello` sent one byte at a time",
    result="closed at the deadline of a handshake or a sign-in; others are served",
)
async def test_handshake_sent_byte_by_byte_is_aborted(start_server: StartServer) -> None:
    server = start_server("--hello-timeout", "8")
    handshake = (
        b"GET / HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    endless = b"X-Endless: " + b"x" * 4_000
    begun = {"silent": b"", "header": handshake[:-2], "hello": handshake + b"\x81\xfe\x0f\xa0"}

    async def drip(kind: str) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        began = time.monotonic()
        writer.write(begun[kind])
        over = asyncio.create_task(reader.read())
        for byte in endless:
            if kind != "silent":
                writer.write(bytes([byte]))
            done, _ = await asyncio.wait([over], timeout=0.1)
            if done:
                break
        over.cancel()
        writer.transport.abort()
        return time.monotonic() - began

    async with Peer.signed_in(server.url, "alice") as alice:
        dripping = [asyncio.create_task(drip(kind)) for kind in begun]
        await alice.say("I am served")
        async with asyncio.timeout(2 * PATIENCE):
            assert max(await asyncio.gather(*dripping)) < PATIENCE
        eventually(lambda: server.health()["connections"] == 1, "all other connections are closed")


@pytest.mark.promise(
    5,
    fault="one user connects and disconnects a hundred times",
    result="the others get a bounded number of frames a second",
)
async def test_flapping_client_causes_few_presence_frames(start_server: StartServer) -> None:
    server = start_server(*FAST)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        async with Peer.signed_in(server.url, "bob") as bob:
            await bob.join("#room")
        already, began = len(alice.received), time.monotonic()
        for _ in range(FLAPS):
            async with Peer.signed_in(server.url, "bob", bob.token):
                pass
        took = time.monotonic() - began
        await alice.settle()
        assert len(alice.received) - already <= took / PULSE + 4, f"in {took:.1f} s"


@pytest.mark.promise(
    5,
    fault="300 sessions join one channel at once",
    result="each gets every event once and a bounded number of frames beside them; in a crowd of "
    "more than 250 presence is not broadcast; a snapshot follows when the crowd has left",
)
async def test_crowd_that_joins_at_once_gets_few_presence_frames(start_server: StartServer) -> None:
    server = start_server(*FAST, "--heartbeat", "60")
    async with AsyncExitStack() as stack, AsyncExitStack() as leaving:
        began = time.monotonic()
        peers = [
            await (leaving if number % 4 == 0 else stack).enter_async_context(
                Peer.signed_in(server.url, f"user{number}")
            )
            for number in range(300)
        ]
        await asyncio.gather(*(peer.follow("#room") for peer in peers))
        await peers[1].say("all are here", "#room")
        for peer in peers:
            await peer.next(Event, lambda event: event.kind == "message")
        took = time.monotonic() - began
        for peer in peers:
            events = [frame.seq for frame in peer.received if isinstance(frame, Event)]
            assert events == list(range(events[0], events[0] + len(events)))
            unasked = [frame for frame in peer.received if getattr(frame, "id", None) is None]
            others = len(unasked) - len(events)
            assert others <= took / PULSE + 8, [frame.type for frame in unasked]
        assert len(peers) > CROWD
        counts = [len(peer.kept(PresenceFrame)) for peer in peers]
        for number in range(5):
            async with Peer.signed_in(server.url, f"guest{number}") as guest:
                await guest.join("#room")
            await peers[1].settle()
        await asyncio.gather(*(peer.settle() for peer in peers))
        assert [len(peer.kept(PresenceFrame)) for peer in peers] == counts
        peers[1].frames.clear()
        await leaving.aclose()
        snapshot = await peers[1].next(PresenceFrame)
        assert snapshot.snapshot
        assert set(snapshot.users) <= {f"user{number}" for number in range(300)}
