"""`#counter` and `#echo`, the raw endpoints `/counter` and `/echo`, and `Counter`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect

from chat.errors import CloseCode
from chat.protocol.commands import Edit, History, Leave, Send
from chat.protocol.frames import ErrorFrame, Tick
from chat.server.channels.builtin import Counter
from tests.serving import ChatServer, Peer, eventually

Fresh = Callable[[str], str]


async def test_counter_starts_at_0_for_each_member(shared: ChatServer, fresh: Fresh) -> None:
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        began = time.monotonic()
        await alice.join("#counter")
        assert [(await alice.next(Tick)).text for _ in range(3)] == ["0", "1", "2"]
        assert time.monotonic() - began > 1.5
        await bob.join("#Counter")
        assert (await bob.next(Tick)).text == "0"
        await alice.call(Send(channel="#counter", text="close"))
        until_closed = len(alice.kept(Tick))
        await bob.next(Tick, lambda tick: tick.text == "2")
        assert len(alice.kept(Tick)) == until_closed


async def test_leaving_stops_the_counter(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        eventually(lambda: shared.health()["timers"] == 0, "no other counter runs")
        await alice.join("#counter")
        assert shared.health()["timers"] == 1
        await alice.call(Leave(channel="#counter"))
        assert shared.health()["timers"] == 0
        assert (await alice.call(Leave(channel="#counter"), ErrorFrame)).code == "not_a_member"


async def test_echo_returns_each_message_to_its_sender_only(
    shared: ChatServer, fresh: Fresh
) -> None:
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        for peer in (alice, bob):
            await peer.join("#echo")
        await alice.say("anyone?", "#echo")
        tick = await alice.next(Tick)
        assert (tick.channel, tick.text) == ("#echo", "anyone?")
        await bob.settle()
        assert not bob.kept(Tick)


async def test_commands_that_need_a_log_are_refused(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        refused = await alice.call(Send(channel="#echo", text="x"), ErrorFrame)
        assert refused.code == "not_a_member"
        await alice.join("#echo")
        for command in (Edit(channel="#echo", seq=1, text="x"), History(channel="#echo")):
            assert (await alice.call(command, ErrorFrame)).code == "forbidden"


async def test_raw_counter_counts_until_close(shared: ChatServer) -> None:
    before = idle(shared)
    async with connect(shared.url + "/counter", proxy=None) as socket:
        assert [await socket.recv() for _ in range(3)] == ["0", "1", "2"]
        await socket.send("close")
        async for number in socket:  # ends without an error: closed with 1000
            assert number == "3"
        assert socket.close_code == CloseCode.NORMAL
    eventually(lambda: shared.burden() == before, "all resources of the client are released")


async def test_raw_echo_returns_text_as_text_and_bytes_as_bytes(shared: ChatServer) -> None:
    async with connect(shared.url + "/echo", proxy=None) as socket:
        for message in ("héllo", "", b"\x00\xff", "x" * 60_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_raw_echo_keeps_the_order(shared: ChatServer) -> None:
    async with connect(shared.url + "/echo", proxy=None) as socket:
        messages = [str(number) for number in range(500)]
        for message in messages:
            await socket.send(message)
        assert [await socket.recv() for _ in messages] == messages


async def test_aborted_raw_client_leaves_no_resources(shared: ChatServer) -> None:
    before = idle(shared)
    sockets = [await connect(shared.url + "/counter", proxy=None) for _ in range(5)]
    eventually(lambda: shared.burden()[2] == before[2] + 5, "five counters run")
    for socket in sockets:
        socket.transport.abort()
    await asyncio.gather(*(socket.wait_closed() for socket in sockets))
    eventually(lambda: shared.burden() == before, "all resources of the clients are released")


def idle(server: ChatServer) -> tuple[int, int, int]:
    """Wait until the clients of other tests are gone; return the burden of an idle server."""
    eventually(lambda: server.health()["connections"] == 0, "no client is connected")
    return server.burden()


QUICK = 0.01
"""Seconds between two numbers: a hundredth of the usual time."""


async def test_counter_counts_from_0_until_stop() -> None:
    loop = asyncio.get_running_loop()
    numbers: list[int] = []
    reached = asyncio.Event()

    def tell(number: int) -> None:
        numbers.append(number)
        if number == 5:
            reached.set()
            counter.stop()

    before = Counter.running
    began = loop.time()
    counter = Counter(loop, tell, interval=QUICK)
    assert Counter.running == before + 1
    await reached.wait()
    assert loop.time() - began >= 0.045
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert Counter.running == before


async def test_failed_send_is_logged_and_stops_the_counter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = asyncio.Event()

    def tell(number: int) -> None:
        failed.set()
        raise ConnectionResetError

    before = Counter.running
    with caplog.at_level(logging.WARNING):
        Counter(asyncio.get_running_loop(), tell, interval=QUICK)
        await failed.wait()
    assert "stopping the counter" in caplog.text
    assert Counter.running == before


async def test_second_stop_of_a_counter_does_nothing() -> None:
    before = Counter.running
    counter = Counter(asyncio.get_running_loop(), lambda _: None)
    counter.stop()
    counter.stop()
    assert Counter.running == before
