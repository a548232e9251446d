"""Rate limits, slow readers, and broken connections."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chat.errors import CloseCode
from chat.protocol.codec import encode
from chat.protocol.commands import History, Ping, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Joined, Ok, Page
from chat.protocol.items import Event
from chat.protocol.values import Wire
from chat.server.app import App
from chat.server.config.settings import LimitSettings, ServerSettings
from chat.server.context import Tuning
from chat.server.transport.connection import PARSED_MAX
from tests.held_store import HeldStore
from tests.proxy import Proxy
from tests.server.byhand import BINARY, CONTINUE, PING, PONG, TEXT, ByHand, frame, request, unharmed
from tests.serving import ChatServer, Peer, eventually

_numbers = itertools.count()
FAST = ("--limits.rate", "100000", "--limits.burst", "100000")


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """Return a server with the default limits; at the end it must hold no resources."""
    data = tmp_path_factory.mktemp("tried") / "data"
    with unharmed(data, "--close-timeout", "0.5") as server:
        yield server


async def test_too_many_commands_are_refused_with_the_time_to_wait(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "5", "--limits.burst", "10")
    async with Peer.signed_in(server.url, "alice") as alice:
        ids: list[str] = []
        while not alice.kept(ErrorFrame):  # on a slow machine, all of them are accepted
            ids += [await alice.post(Ping()) for _ in range(15)]
            await alice.until(partial(has_answers, alice, len(ids)), "an answer to each")
        error = alice.kept(ErrorFrame)[0]
        assert error.code == "rate_limited"
        assert error.retryable
        assert error.id in ids
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 1
        await asyncio.sleep(error.retry_after)  # the behavior under test
        await alice.settle()


FLOODS: dict[str, tuple[str, bytes]] = {
    "commands": ("/", frame(TEXT, '{"type":"ping","id":"1"}')),
    "noise": ("/", frame(TEXT, "x")),
    "bytes": ("/", frame(BINARY, "x")),
    "large bytes": ("/", frame(BINARY, bytes(60_000))),
    "pings": ("/", frame(PING)),
    "pongs": ("/", frame(PONG, bytes(125))),
    "fragments": ("/", frame(TEXT, "{", fin=False) + frame(CONTINUE, "", fin=False) * 20_000),
    "pings to the echo": ("/echo", frame(PING)),
}


@pytest.mark.promise(
    5,
    fault="a flood of commands, bytes, pings or fragments, before `hello` and after it",
    result="`rate_limited`, then 4009; it costs a bounded number of answers",
)
@pytest.mark.parametrize("is_signed_in", [False, True])
@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_is_closed_with_the_default_limits(
    tried: ChatServer, what: str, is_signed_in: bool
) -> None:
    path, one = FLOODS[what]
    with ByHand.connected(tried, path) as flood:
        if is_signed_in and path == "/":
            flood.hello(f"flood{next(_numbers)}")
        many = one * (1 + 65_536 // len(one))
        threading.Thread(target=send_until_it_ends, args=(flood, many), daemon=True).start()
        output = flood.everything()
    assert output.code in (CloseCode.RATE_LIMITED, None)  # unread data may hide the code
    assert CloseCode.RATE_LIMITED.may_return
    assert output.texts < 1_000
    assert output.size < 300_000


def send_until_it_ends(flood: ByHand, many: bytes) -> None:
    """Send until the connection accepts no more."""
    while flood.send(many):
        pass


async def test_peer_slightly_above_the_rate_limit_is_closed_eventually(
    start_server: Callable[..., ChatServer],
) -> None:
    """A few accepted frames do not compensate for many refused ones."""
    server = start_server("--limits.rate", "20", "--limits.burst", "4")
    async with Peer.signed_in(server.url, "alice") as alice:
        with suppress(ConnectionClosed):
            began = time.monotonic()
            for number in range(1_000):  # five times the allowed rate, even on a slow machine
                await alice.post(Ping())
                await asyncio.sleep(began + number / 100 - time.monotonic())
        assert await alice.close_code() == CloseCode.RATE_LIMITED
        assert alice.kept(Ok), "some passed"


async def test_peer_that_waits_for_retry_after_is_never_closed(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "20", "--limits.burst", "20")

    async def insist(alice: Peer) -> None:
        while True:
            sent = await alice.post(Ping())
            answer = await alice.next(Wire, partial(is_answer, sent))
            if not isinstance(answer, ErrorFrame):
                return
            assert answer.code == "rate_limited"
            await asyncio.sleep(answer.retry_after or 0.0)  # the behavior under test

    async with Peer.signed_in(server.url, "alice") as alice:
        async with asyncio.TaskGroup() as crowd:
            for _ in range(80):
                crowd.create_task(insist(alice))
        await asyncio.sleep(1)
        await alice.settle()


def is_answer(sent: str, frame: Wire) -> bool:
    """Whether a frame answers the command `sent`."""
    return getattr(frame, "id", None) == sent


def has_answers(peer: Peer, count: int) -> bool:
    """Whether so many commands were answered with `ok` or `error`."""
    return len(peer.kept(Ok)) + len(peer.kept(ErrorFrame)) >= count


async def test_sessions_of_a_person_share_one_rate_limit(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "0.01", "--limits.burst", "40")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Peer.signed_in(server.url, "alice"))
        sessions = [first] + [
            await stack.enter_async_context(Peer.signed_in(server.url, "alice", first.token))
            for _ in range(9)
        ]
        for _ in range(6):
            for session in sessions:
                await session.post(Ping())
        for session in sessions:
            await session.until(partial(has_answers, session, 6), "six answers")
        passed = sum(len(session.kept(Ok)) for session in sessions)
        assert passed == 40
        async with Peer.signed_in(server.url, "bob") as bob:
            await bob.settle()


async def test_reconnecting_does_not_reset_the_rate_limit(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "0.01", "--limits.burst", "10")
    async with Peer.signed_in(server.url, "alice") as alice:
        for _ in range(10):
            await alice.settle()
    async with Peer.signed_in(server.url, "alice", alice.token) as alice:
        assert (await alice.call(Ping(), ErrorFrame)).code == "rate_limited"


async def test_long_messages_cost_more_than_short_ones(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "0.01", "--limits.burst", "20")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#room")
        for _ in range(30):
            await alice.post(Send(channel="#room", text="x" * 8_000))
        await alice.until(lambda: len(alice.kept(ErrorFrame)) >= 20, "refusals")
        assert len(alice.kept(Ok)) <= 10


async def test_echo_above_the_rate_limit_slows_the_peer_and_loses_nothing(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--limits.rate", "10", "--limits.burst", "5")  # of these ten times
    async with connect(server.url + "/echo", proxy=None) as socket:
        began = asyncio.get_running_loop().time()
        messages = [str(number) for number in range(150)]
        for message in messages:
            await socket.send(message)
        assert [await socket.recv() for _ in messages] == messages
        await socket.send("after them")
        assert await socket.recv() == "after them"
        assert asyncio.get_running_loop().time() - began > 0.9


@pytest.mark.promise(
    5,
    fault="a reader that stalls",
    result="the reader is disconnected; all others get every event",
)
async def test_stalled_reader_is_closed_and_others_get_everything(
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
    fault="16 channels of 40 long messages are resumed over a slow line",
    result="everything arrives over one connection, although it is ten times `--queue-bytes`",
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
    fault="a peer that disappears silently",
    result="closed within heartbeat and timeout",
)
async def test_half_open_connection_is_closed_by_the_heartbeat(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--heartbeat", "0.5", "--close-timeout", "0.5")
    before = server.burden()
    with ByHand.connected(server, "/echo") as silent:
        assert silent.everything().code == CloseCode.HEARTBEAT_LOST
        eventually(lambda: server.burden() == before, "the silent client was cut")


async def test_message_that_takes_longer_than_a_heartbeat_keeps_the_connection(
    tmp_path: Path,
) -> None:
    app = App(
        ServerSettings(data=tmp_path, host=["127.0.0.1"], port=0),
        asyncio.get_running_loop(),
        Tuning(),
    )
    await app.start()
    try:
        host, port = app.addresses[0].removeprefix("ws://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request("/echo"))
        await reader.readuntil(b"\r\n\r\n")
        (connection,) = app.connections
        text = b"xyz"
        for piece in (frame(TEXT, b"", length=len(text)), b"x", b"y", b"z"):
            connection.check_heartbeat()
            assert not connection.has_received
            writer.write(piece)
            while not connection.has_received:
                await asyncio.sleep(0)
        assert await reader.readuntil(text) == 4 * b"\x89\x00" + b"\x81\x03" + text
        writer.close()
    finally:
        await app.stop()


async def test_close_that_the_client_does_not_finish_is_aborted(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--close-timeout", "0.5")
    before = server.burden()
    async with connect(server.url + "/echo", proxy=None) as client:
        client.transport.write(b"\x88\x80\x00\x00\x00\x00")  # a close frame, and then nothing
        client.transport.pause_reading()
        eventually(lambda: server.burden() == before, "the connection was cut")
        client.transport.abort()


async def test_pending_commands_are_bounded_and_none_is_lost(tmp_path: Path) -> None:
    limits, tuning = LimitSettings(rate=1e9, burst=10**9), Tuning()
    settings = ServerSettings(data=tmp_path, host=["127.0.0.1"], port=0, limits=limits)
    loop = asyncio.get_running_loop()
    app = App(settings, loop, tuning, HeldStore.opened)
    await app.start()
    store = app.store
    assert isinstance(store, HeldStore)
    try:
        async with (
            Peer.signed_in(app.addresses[0], "alice") as alice,
            Peer.signed_in(app.addresses[0], "bob") as bob,
        ):
            await alice.join("#room")
            with store.hold_operations() as held:
                for number in range(2_000):
                    await alice.post(Send(channel="#room", text=str(number)))
                for _ in range(100):
                    await bob.settle()  # lets the server run
                a_part = PARSED_MAX // len(encode(Send(channel="#room", text="0", id="c9")))
                assert tuning.pending_commands <= len(held) <= tuning.pending_commands + a_part
            store.submit(held)
            await alice.say("last", "#room")
            texts = [event.text for event in alice.kept(Event) if event.kind == "message"]
            assert texts == [*map(str, range(2_000)), "last"]
    finally:
        await app.stop()
