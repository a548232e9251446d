"""A slow, hostile or broken client costs the others nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect

from chat.errors import CloseCode
from chat.protocol.commands import History, Ping, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Joined, Page
from chat.protocol.items import Event
from tests.proxy import Proxy
from tests.server.byhand import TEXT, ByHand, frame
from tests.serving import ChatServer, Peer, eventually

FAST = ("--limits.rate", "100000", "--limits.burst", "100000")


async def test_too_many_commands_are_refused_with_the_time_to_wait(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "5", "--limits.burst", "10")
    async with Peer.signed_in(server.url, "alice") as alice:
        ids = [await alice.post(Ping()) for _ in range(15)]
        error = await alice.next(ErrorFrame)
        assert error.code == "rate_limited"
        assert error.retryable
        assert error.id in ids
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 1
        await asyncio.sleep(error.retry_after)  # the very thing that is tested
        await alice.settle()


@pytest.mark.promise(
    5,
    fault="a flood of commands",
    result="`rate_limited`, then 4009",
)
async def test_a_flood_is_closed_and_may_come_back(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "5", "--limits.burst", "10")
    async with Peer.signed_in(server.url, "alice") as alice:
        for _ in range(200):
            await alice.post(Ping())
        code = await alice.close_code()
        assert code == CloseCode.RATE_LIMITED
        assert CloseCode.tells_to_return(code)


@pytest.mark.promise(
    5,
    fault="a reader that stalls",
    result="it is cut; the others get everything",
)
async def test_a_reader_that_stalls_is_cut_and_the_others_get_everything(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST, "--queue-bytes", "65536", "--close-timeout", "0.5")
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "bob") as bob,
        Peer.signed_in(server.url, "stalled", sock=server.small_socket()) as stalled,
    ):
        for peer in (alice, bob, stalled):
            await peer.join("#room")
        before = server.health()["connections"]
        stalled.socket.transport.pause_reading()
        text, count = "x" * 4_000, 0
        while server.health()["connections"] == before:
            assert count < 10_000, "the stalled reader was never cut"
            await asyncio.gather(*(alice.say(text, "#room") for _ in range(50)))
            count += 50
        await bob.settle()
        texts = [event for event in bob.kept(Event) if event.kind == "message"]
        assert len(texts) == count
        stalled.socket.transport.resume_reading()
        assert await stalled.close_code() in (None, 1006, CloseCode.SLOW_READER)


@pytest.mark.promise(
    5,
    fault="16 channels of 40 long messages are resumed over a line that is slower than the server",
    result="all of it comes over one connection, though ten times as much as may wait",
)
async def test_a_slow_reader_resumes_everything_over_one_connection(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST, "--queue-bytes", "131072")
    channels, text = [f"#room{number}" for number in range(16)], "é" * 8_000
    async with Peer.signed_in(server.url, "alice") as alice:
        positions = {}
        for channel in channels:
            joined = await alice.join(channel)
            positions[channel] = ResumeFrom(epoch=joined.epoch, after=joined.head)
        token = alice.token
    async with Peer.signed_in(server.url, "bob") as bob:
        for channel in channels:
            await bob.join(channel)
            await asyncio.gather(*(bob.say(text, channel) for _ in range(40)))
    async with (
        Proxy(server.port, rate=4_000_000) as proxy,
        Peer.connect(proxy.url) as alice,
    ):
        await alice.hello("alice", token, positions)
        for _ in channels:
            joined = await alice.next(Joined, lambda frame: frame.channel in channels)
            assert joined.recovered
            assert sum(len(item.text or "") for item in joined.items) < 65_536
            seqs, complete = [item.seq for item in joined.items], joined.complete
            while not complete:
                history = History(channel=joined.channel, after=seqs[-1], limit=200)
                page = await alice.call(history, Page)
                seqs += [item.seq for item in page.items]
                complete = page.complete
            assert seqs == [*range(2, 43)]


@pytest.mark.promise(
    5,
    fault="a peer that has silently gone",
    result="found within heartbeat and timeout",
)
async def test_a_half_open_connection_is_found_by_the_heartbeat(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--heartbeat", "0.5", "--close-timeout", "0.5")
    request = (
        f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    before = server.burden()
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.sendall(request.encode())
        eventually(lambda: server.burden()[0] == before[0] + 1, "the silent client is there")
        eventually(lambda: server.burden() == before, "the silent client was cut")


async def test_a_message_that_takes_longer_than_a_heartbeat_is_heard(
    start_server: Callable[..., ChatServer],
) -> None:
    beat = 1.5
    server = start_server("--heartbeat", str(beat), "--close-timeout", "0.5")
    text = b"x" * 50
    with ByHand.connected(server, "/echo") as slow:
        slow.send(frame(TEXT, b"", told=len(text)))
        for at in range(len(text)):
            await asyncio.sleep(2.5 * beat / len(text))  # the very thing that is tested
            assert slow.send(text[at : at + 1])
        assert slow.echo() == text


async def test_a_close_that_the_client_never_finishes_is_finished_for_it(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--close-timeout", "0.5")
    before = server.burden()
    async with connect(server.url + "/echo", proxy=None) as client:
        client.transport.write(b"\x88\x80\x00\x00\x00\x00")  # a close frame, and then nothing
        client.transport.pause_reading()
        eventually(lambda: server.burden() == before, "the connection was cut")
        client.transport.abort()


async def test_commands_under_way_are_bounded_and_none_is_lost(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        for number in range(2_000):
            await alice.post(Send(channel="#room", text=str(number)))
        await alice.say("last", "#room")
        texts = [event.text for event in alice.kept(Event) if event.kind == "message"]
        assert texts == [*map(str, range(2_000)), "last"]
