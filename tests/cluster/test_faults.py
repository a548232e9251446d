"""Faults that several servers survive: three servers, one PostgreSQL, one NATS."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from websockets.exceptions import InvalidStatus

from chat.protocol.commands import Join, Send
from chat.protocol.frames import Bye, ErrorFrame, Joined, PresenceFrame
from tests.client.piped import Client
from tests.cluster.stalling_socket import StallingSocket
from tests.cluster.three_servers import Cluster, Follower, Writer, judge, pause
from tests.serving import PATIENCE, ChatServer, Peer

pytestmark = pytest.mark.cluster

ROOM = "#room"


def rotated(urls: Sequence[str], by: int) -> list[str]:
    by %= len(urls)
    return [*urls[by:], *urls[:by]]


@asynccontextmanager
async def conversation(
    cluster: Cluster, writers: int = 6, followers: int = 6
) -> AsyncIterator[tuple[list[Writer], list[Follower]]]:
    """Run followers on all servers, and create writers that begin on different ones."""
    following = [Follower(rotated(cluster.urls, n), f"follower{n}", ROOM) for n in range(followers)]
    writing = [Writer(rotated(cluster.urls, n), f"writer{n}", ROOM) for n in range(writers)]
    tasks = [asyncio.create_task(follower.run()) for follower in following]
    try:
        async with asyncio.timeout(PATIENCE):
            while any(follower.first is None for follower in following):
                await asyncio.sleep(0.02)
        yield writing, following
        await judge(writing, following)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.feature("server.cluster")
async def test_three_servers_carry_one_conversation(cluster: Cluster) -> None:
    async with conversation(cluster) as (writers, _):
        await asyncio.gather(*(writer.write(40) for writer in writers))


async def test_killed_server_loses_and_repeats_no_message(cluster: Cluster) -> None:
    async with conversation(cluster) as (writers, _):
        writing = asyncio.gather(*(writer.write(60, pause(0.0, 0.05)) for writer in writers))
        for server in (*cluster.servers, cluster.servers[0]):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.restart, kill=True)
        await writing
        assert any(writer.connections > 1 for writer in writers)


async def test_server_that_was_stopped_sends_its_clients_away(cluster: Cluster) -> None:
    stopped = cluster.servers[1]
    async with conversation(cluster) as (writers, _):
        writing = asyncio.gather(*(writer.write(60, pause(0.0, 0.05)) for writer in writers))
        await asyncio.sleep(0.5)
        os.kill(stopped.pid, signal.SIGSTOP)
        await asyncio.sleep(6.0)
        os.kill(stopped.pid, signal.SIGCONT)
        await asyncio.to_thread(stopped.wait_for_line, "disconnecting all clients")
        await asyncio.to_thread(stopped.wait_for_line, "the server delivers messages again")
        await writing


async def test_server_cut_from_the_database_by_silence_sends_its_clients_away(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = cluster.postgresql.folder
    async with AsyncExitStack() as stack:
        # The path of a socket has at most 107 bytes, and pytest's own folders have long names.
        short = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "socket"
        network = await stack.enter_async_context(StallingSocket(short, folder))
        cut = ChatServer(
            tmp_path / "cut", *cluster.flags(cluster.url.replace(str(folder), str(short)))
        )
        try:
            await asyncio.to_thread(cut.start)
            async with Peer.signed_in(cluster.urls[0], "alice") as alice:
                await alice.join(ROOM)
                async with Peer.signed_in(cut.url, "bob") as bob:
                    await bob.join(ROOM)
                    network.stall()
                    assert (await bob.next(Bye)).reconnect > 0
                    assert await bob.close_code() == 1001
                await alice.say("missed", ROOM)
                with pytest.raises(InvalidStatus, match="503"):
                    async with Peer.connect(cut.url):
                        pass
                network.flow()
                await asyncio.to_thread(cut.wait_for_line, "the server delivers messages again")
                async with Peer.signed_in(cut.url, "bob", bob.token) as bob:
                    assert (await bob.join(ROOM)).items[-1].text == "missed"
                    await alice.say("live", ROOM)
                    assert (await bob.next_event(ROOM, "message")).text == "live"
        finally:
            network.flow()
            cut.kill()


async def test_real_client_continues_at_another_server(cluster: Cluster, tmp_path: Path) -> None:
    client = Client(tmp_path, ",".join(cluster.urls), "tail")
    async with Peer.signed_in(cluster.urls[2], "alice") as alice:
        await alice.join(ROOM)
        tail = await asyncio.to_thread(client.start, "tail", ROOM, "--follow")
        try:
            await alice.next_event(ROOM, "join")
            for number, server in enumerate((None, cluster.servers[0], cluster.servers[1])):
                if server is not None:
                    await asyncio.to_thread(server.stop if number == 1 else server.kill)
                await alice.say(f"line {number}", ROOM)
                await asyncio.to_thread(tail.wait_for, f"line {number}")
            lines = [line for line in tail.lines if "line " in line]
            assert [line[-6:] for line in lines] == ["line 0", "line 1", "line 2"]
        finally:
            await asyncio.to_thread(tail.end, signal.SIGTERM)
            assert tail.process.stdout is not None
            tail.process.stdout.close()


async def test_crash_of_the_database_loses_and_repeats_no_message(cluster: Cluster) -> None:
    async with conversation(cluster) as (writers, _):
        writing = asyncio.gather(*(writer.write(60, pause(0.0, 0.05)) for writer in writers))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(cluster.postgresql.stop, signal.SIGQUIT)
        await asyncio.sleep(1.0)
        cluster.postgresql.start()  # it ends with the thread that starts it
        await writing


async def test_ended_database_sessions_lose_and_repeat_no_message(cluster: Cluster) -> None:
    async with conversation(cluster) as (writers, _):
        writing = asyncio.gather(*(writer.write(60, pause(0.0, 0.05)) for writer in writers))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
        while not writing.done():
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cluster.postgresql.execute, end.format(cluster.name))
            if sum(len(writer.acknowledged) for writer in writers) > 200:
                break
        await writing


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_conversation_goes_on_without_the_broker(cluster: Cluster, fault: str) -> None:
    async with conversation(cluster) as (writers, followers):
        if fault == "killed":
            cluster.nats.kill()
        else:
            cluster.nats.pause()
        await asyncio.gather(*(writer.write(15, pause(0.0, 0.1)) for writer in writers))
        await judge(writers, followers)
        if fault == "killed":
            await asyncio.to_thread(cluster.nats.start)
        else:
            cluster.nats.resume()
        more = [Writer(rotated(cluster.urls, n), f"more{n}", ROOM) for n in range(3)]
        await asyncio.gather(*(writer.write(15) for writer in more))
        await judge([*writers, *more], followers)


async def test_one_cid_through_two_servers_is_stored_once(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        phone = await stack.enter_async_context(Peer.signed_in(cluster.urls[0], "alice"))
        laptop = await stack.enter_async_context(
            Peer.signed_in(cluster.urls[1], "alice", phone.token)
        )
        await phone.join(ROOM)
        await laptop.next(Joined)
        for number in range(40):
            one, two = await asyncio.gather(
                *(
                    peer.call(Send(channel=ROOM, text="x", cid=f"c{number}"))
                    for peer in (phone, laptop)
                )
            )
            assert (one.seq, one.mid) == (two.seq, two.mid)
            assert sorted((bool(one.duplicate), bool(two.duplicate))) == [False, True]


async def test_ban_is_felt_on_another_server_without_the_broker(cluster: Cluster) -> None:
    cluster.nats.kill()
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(Peer.signed_in(url, f"user{n}"))
            for n, url in enumerate(cluster.urls)
        ]
        for peer in peers:
            await peer.join(ROOM)
        loop = asyncio.get_running_loop()
        ban = ("ban", "user1", "--reason", "spam", "--store", cluster.url)
        banned = await asyncio.to_thread(cluster.servers[0].administer, *ban)
        assert banned.returncode == 0, banned
        since = loop.time()
        assert (await peers[1].next(ErrorFrame)).code == "banned"
        assert await peers[1].close_code() == 4501
        assert loop.time() - since < 2.0
        assert not any(isinstance(frame, ErrorFrame) for frame in peers[2].frames)


async def test_presence_of_a_killed_server_ends_once_without_zombies(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(Peer.signed_in(cluster.urls[0], "watcher"))
        await watcher.join(ROOM)
        names = [f"user{n}" for n in range(5)]
        for name in names:
            peer = await stack.enter_async_context(Peer.signed_in(cluster.urls[1], name))
            await peer.join(ROOM)

        def presences(name: str) -> list[str]:
            shown: list[str] = []
            for frame in watcher.received:
                if isinstance(frame, PresenceFrame):
                    now = frame.users.get(name, "offline" if frame.snapshot else None)
                    if now is not None and now != (shown[-1] if shown else "offline"):
                        shown.append(now)
            return shown

        await watcher.until(
            lambda: all(presences(name) == ["online"] for name in names), "all are online"
        )
        cluster.servers[1].kill()
        await watcher.until(
            lambda: all(presences(name) == ["online", "offline"] for name in names), "all have left"
        )
        await asyncio.sleep(3.0)  # nobody comes back
        assert all(presences(name) == ["online", "offline"] for name in names)


async def test_forged_and_foreign_messages_of_the_broker_change_nothing(cluster: Cluster) -> None:
    async with conversation(cluster, writers=3) as (writers, _):
        heard: list[tuple[str, bytes]] = []
        client = await nats.connect(cluster.nats.url, no_echo=True)

        async def forge(message: Msg) -> None:
            if len(heard) < 500:
                heard.append((message.subject, message.data))
                altered = message.data.replace(b"writer", b"forger")
                for content in (altered, b"", b"\x02" + message.data[1:], b"x" * 500_000):
                    await client.publish(message.subject, content)
                await client.publish(heard[0][0], heard[0][1])  # an old one again

        await client.subscribe("chat.>", cb=forge)
        await asyncio.gather(*(writer.write(15, pause(0.0, 0.05)) for writer in writers))
        await client.close()
        assert len(heard) > 10
        assert all(b"writer" not in subject.encode() for subject, _content in heard)


async def test_many_channels_through_all_servers(cluster: Cluster) -> None:
    channels = [f"#c{n}" for n in range(4)]
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(Peer.signed_in(cluster.urls[n % 3], f"user{n}"))
            for n in range(6)
        ]
        for peer in peers:
            for channel in channels:
                await peer.call(Join(channel=channel), Joined)

        async def write(peer: Peer, order: Sequence[str]) -> None:
            for turn in range(10):
                sent = [Send(channel=each, text=f"{turn}", cid=f"{each}{turn}") for each in order]
                await asyncio.gather(*(peer.call(each) for each in sent))

        # Batches over the same channels in opposite orders.
        await asyncio.gather(
            *(write(peer, channels[:: 1 if n % 2 else -1]) for n, peer in enumerate(peers))
        )
        for channel in channels:
            logs = []
            for peer in peers:
                texts: list[int] = []
                while len(texts) < 60:
                    texts.append((await peer.next_event(channel, "message")).seq)
                logs.append(texts)
            assert all(log == list(range(log[0], log[0] + 60)) for log in logs)
