"""Stopping under load: clients are notified, and no acknowledged message is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chat.client.config.settings import ClientSettings
from chat.client.model.state import Link
from chat.client.network.backoff import Backoff
from chat.errors import CloseCode
from chat.protocol.commands import History, Send
from chat.protocol.frames import Bye, Ok, Page, PresenceFrame
from tests.client.screen import Screen
from tests.processes import Process
from tests.serving import ChatServer, ConnectionOver, Peer, eventually

FAST = ("--limits.rate", "100000", "--limits.burst", "100000")
WINDOW = 3.5
CLIENTS = 50
STALLED = 2
MANY = 500
DRAIN = 6.0
SENDERS = 20
MESSAGES = 30
AHEAD = 2
RETURNING = 12
"""Clients whose reconnect times are checked; they share a quarter of the window by chance once in
300,000 runs.
"""


def cid(client: int, number: int) -> str:
    """Return the cid of a client's message."""
    return f"{client}-{number}"


def message(client: int, number: int) -> Send:
    """Return a message; the same one every time."""
    return Send(channel="#room", text=cid(client, number), cid=cid(client, number))


async def pipeline(peer: Peer, client: int, count: int = MESSAGES) -> None:
    """Send `count` messages without waiting for answers."""
    for number in range(count):
        await peer.post(message(client, number))


async def send_on(peer: Peer, client: int, sent: Counter[int]) -> None:
    """Send until the connection ends, at most `AHEAD` of the answers; count in `sent`.

    A peer that is further ahead has too much to read, on a busy machine, to get `bye` in time.
    """
    with suppress(ConnectionClosed, ConnectionOver):
        while True:
            sent[client] += 1
            await peer.post(message(client, sent[client] - 1))
            if sent[client] >= AHEAD:
                await peer.next(Ok)


def has_stored(peer: Peer, count: int) -> bool:
    """Whether so many messages were answered with `ok`."""
    return len(peer.kept(Ok)) >= count


def wait_before_return(screen: Screen) -> float:
    """Return the seconds that this client waits before it reconnects."""

    def delay() -> float | None:
        return next((each.retry_in for each in screen.history if each.link is Link.WAITING), None)

    screen.wait(lambda: delay() is not None, "the client waits to reconnect")
    return delay() or 0.0


async def stored(peer: Peer) -> dict[str, int]:
    """Read the whole log: every cid once, every seq once, without gaps."""
    found: dict[str, int] = {}
    after, complete = 0, False
    while not complete:
        page = await peer.call(History(channel="#room", after=after, limit=200), Page)
        for item in page.items:
            assert item.seq == after + 1
            after = item.seq
            if item.cid is not None:
                assert item.cid not in found, f"{item.cid} is there twice"
                found[item.cid] = item.seq
        complete = page.complete
    return found


@pytest.mark.promise(
    2,
    fault="SIGTERM while fifty clients send, two of them without reading; everything is sent again",
    result="`bye`, 1001, exit code 0 in time; every message is stored once, acknowledged ones with "
    "their numbers",
)
async def test_stop_under_load_notifies_all_clients_and_loses_nothing(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST, "--reconnect-window", str(WINDOW), "--close-timeout", "4")
    tokens: list[str] = []
    sent = Counter(dict.fromkeys(range(STALLED), MESSAGES))
    acknowledged: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(Peer.signed_in(server.url, f"user{n}"))
            for n in range(CLIENTS)
        ]
        for peer in peers:
            await peer.join("#room")
            tokens.append(peer.token)
        for stalled in peers[:STALLED]:
            stalled.socket.transport.pause_reading()
        sending = [
            asyncio.create_task(pipeline(peer, n) if n < STALLED else send_on(peer, n, sent))
            for n, peer in enumerate(peers)
        ]
        await peers[-1].next(Ok)
        os.kill(server.pid, signal.SIGTERM)
        for peer in peers[STALLED:]:
            bye = await peer.next(Bye)
            assert bye.reason
            assert bye.reconnect == WINDOW
            assert await peer.close_code() == CloseCode.GOING_AWAY
        assert await asyncio.to_thread(server.wait) == 0
        await asyncio.gather(*sending, return_exceptions=True)
        for peer in peers:
            acknowledged |= {
                ok.cid: ok.seq
                for ok in peer.received
                if isinstance(ok, Ok) and ok.cid is not None and ok.seq is not None
            }
    assert acknowledged
    server.start()
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(Peer.signed_in(server.url, f"user{n}", token))
            for n, token in enumerate(tokens)
        ]
        before = await stored(peers[0])
        assert acknowledged.items() <= before.items()
        await asyncio.gather(*(pipeline(peer, n, sent[n]) for n, peer in enumerate(peers)))
        for n, peer in enumerate(peers):
            await peer.until(partial(has_stored, peer, sent[n]), "an answer to each message")
        after = await stored(peers[0])
    assert before.items() <= after.items()
    assert after.keys() == {cid(c, n) for c in range(CLIENTS) for n in range(sent[c])}


@asynccontextmanager
async def crowd(server: ChatServer, count: int) -> AsyncIterator[list[Peer]]:
    """Sign in so many users; the first `CLIENTS` of them are in `#room`."""
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        for start in range(0, count, 50):
            numbers = range(start, start + 50)
            signing_in = [Peer.signed_in(server.url, f"user{n}") for n in numbers]
            peers += await asyncio.gather(*map(stack.enter_async_context, signing_in))
        for peer in peers[:CLIENTS]:
            await peer.join("#room")
        yield peers


async def ended(peer: Peer) -> tuple[Bye, int | None]:
    """Wait for `bye` and the close code."""
    return await peer.next(Bye), await peer.close_code()


@pytest.mark.feature("server.drain")
@pytest.mark.timeout(300)  # five hundred clients, on a busy machine
@pytest.mark.promise(
    2,
    fault="SIGTERM while five hundred clients are connected and one of them never reads",
    result="`/readyz` answers 503 at once; `bye` in batches; all that was accepted is answered",
)
async def test_drain_sends_many_clients_away_in_batches_and_answers_all_that_it_stores(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST, "--drain", str(DRAIN), "--reconnect-window", str(WINDOW))
    async with (
        crowd(server, MANY) as peers,
        Peer.signed_in(server.url, "stalled", sock=server.small_socket()) as stalled,
    ):
        await stalled.join("#room")
        stalled.socket.transport.pause_reading()
        for number in range(30):  # more than the buffers of the stalled peer
            await peers[0].call(Send(channel="#room", text="x" * 7_000, cid=f"long-{number}"))
        senders, sent = peers[1:SENDERS], Counter[int]()
        sending = [asyncio.create_task(send_on(each, n, sent)) for n, each in enumerate(senders)]
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        await asyncio.to_thread(server.wait_for_line, f"stopping: disconnecting {MANY + 1} clients")
        assert await asyncio.to_thread(server.get, "/readyz") == (503, "the server is stopping\n")
        with pytest.raises(InvalidStatus, match="503"):
            await connect(server.url, proxy=None)
        ends = await asyncio.gather(*map(ended, peers))
        assert await asyncio.to_thread(server.wait) == 0
        assert time.monotonic() - began < DRAIN + 20
        await asyncio.gather(*sending)
        stalled.socket.transport.abort()
    assert {code for _, code in ends} == {CloseCode.GOING_AWAY}
    batches = Counter(round(bye.reconnect - WINDOW, 3) for bye, _ in ends)
    assert sorted(batches) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "the seconds until the last batch"
    assert max(batches.values()) <= 100
    presences = [
        each for peer in peers for each in peer.received if isinstance(each, PresenceFrame)
    ]
    assert "offline" not in {each for frame in presences for each in frame.users.values()}
    server.start()
    async with Peer.signed_in(server.url, "user0", peers[0].token) as reader:
        in_log = await stored(reader)
    for number, sender in enumerate(senders):
        acknowledged = {ok.cid for ok in sender.received if isinstance(ok, Ok) and ok.cid}
        assert acknowledged == {each for each in in_log if each.startswith(f"{number}-")}


@pytest.mark.timeout(300)
async def test_second_signal_during_a_drain_ends_the_server_at_once_with_a_clean_store(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FAST, "--drain", "600")
    async with crowd(server, 150) as peers:
        await peers[0].call(message(0, 0))
        os.kill(server.pid, signal.SIGTERM)
        byes = [asyncio.create_task(peer.next(Bye)) for peer in peers]
        await asyncio.wait(byes, return_when=asyncio.FIRST_COMPLETED)
        os.kill(server.pid, signal.SIGTERM)
        assert await asyncio.to_thread(server.wait) == 128 + signal.SIGTERM
        told = await asyncio.gather(*byes, return_exceptions=True)
    assert sum(isinstance(each, Bye) for each in told) < 150, "the drain was not over"
    assert server.administer("check").returncode == 0


async def test_clients_spread_their_reconnects_over_the_window(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server("--reconnect-window", str(WINDOW))
    screens = []
    for number in range(RETURNING):
        name = f"user{number}"
        settings = ClientSettings(name=name, url=server.url, data=tmp_path / name)
        screens.append(Screen(settings, Backoff()))
    try:
        for screen in screens:
            screen.core.start()
        for screen in screens:
            await asyncio.to_thread(screen.wait_online)
        server.stop()
        delays = [await asyncio.to_thread(wait_before_return, screen) for screen in screens]
        server.start()
        for screen in screens:
            await asyncio.to_thread(screen.wait_online)
    finally:
        for screen in screens:
            screen.stop()
    assert all(0 <= delay <= WINDOW for delay in delays), delays
    assert max(delays) - min(delays) > WINDOW / 4, delays


class ServerInATerminal(ChatServer):
    """A server whose standard input is a terminal."""

    def launch(self, *arguments: str) -> Process:
        self.terminal, its_terminal = os.openpty()
        command, env = ["chat-server", *arguments], self.environment()
        process = Process(command, stdin=its_terminal, stderr=subprocess.STDOUT, env=env)
        os.close(its_terminal)
        return process


async def test_hangup_stops_the_server_only_after_its_terminal_was_closed(tmp_path: Path) -> None:
    with ServerInATerminal(tmp_path / "data") as server:
        async with Peer.signed_in(server.url, "alice") as alice:
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for_line("nothing has changed")
            await alice.settle()
            os.close(server.terminal)
            os.kill(server.pid, signal.SIGHUP)
            await alice.next(Bye)
            assert await alice.close_code() == CloseCode.GOING_AWAY
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.promise(
    1,
    fault="a second SIGTERM or SIGINT while the server is stopping",
    result="it ends at once with code 143 or 130; every acknowledged message is stored",
)
async def test_second_signal_ends_the_server_at_once_and_loses_nothing(
    start_server: Callable[..., ChatServer], number: signal.Signals
) -> None:
    server = start_server(*FAST, "--close-timeout", "4")
    async with (
        Peer.signed_in(server.url, "stalled") as stalled,
        Peer.signed_in(server.url, "alice") as alice,
    ):
        await alice.join("#room")
        stalled.socket.transport.pause_reading()  # the stop would wait 4 s for it
        sending = asyncio.create_task(pipeline(alice, 0))
        await alice.next(Ok)
        os.kill(server.pid, signal.SIGTERM)
        await alice.next(Bye)
        os.kill(server.pid, number)
        await asyncio.to_thread(eventually, lambda: not server.is_running, "it has ended")
        assert server.wait() == 128 + number
        await asyncio.gather(sending, return_exceptions=True)
        acknowledged = {
            ok.cid: ok.seq for ok in alice.received if isinstance(ok, Ok) and ok.cid and ok.seq
        }
        token = alice.token
        stalled.socket.transport.abort()
    server.start()
    async with Peer.signed_in(server.url, "alice", token) as alice:
        assert acknowledged.items() <= (await stored(alice)).items()
