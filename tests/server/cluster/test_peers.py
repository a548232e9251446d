"""Presence and typing between servers on one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat.broker.memory import MemoryBroker, MemoryHub
from chat.protocol.commands import Leave, SetStatus, Typing, Who
from chat.protocol.frames import Members, PresenceFrame, TypingFrame
from chat.server.app import App
from chat.server.cluster.peers import PeerTiming
from tests.server.cluster.one_process import FAST, SilentBroker, servers
from tests.serving import Peer

QUICK = PeerTiming(pulse=0.05, snapshot=0.3, dead=3.0, linger=0.5, round=1.0)


@pytest.fixture
def hub() -> MemoryHub:
    return MemoryHub()


@pytest.fixture
async def pair(tmp_path: Path, hub: MemoryHub) -> AsyncIterator[list[App]]:
    """Two servers whose broker is reliable."""
    async with servers(tmp_path, 2, lambda: MemoryBroker(hub), FAST, QUICK) as running:
        yield running


def url(app: App) -> str:
    return app.addresses[0]


def seen(peer: Peer, name: str, channel: str = "#room") -> list[str]:
    """Return the presence of a user as a client shows it after each frame, without repetitions."""
    shown: list[str] = []
    for frame in peer.received:
        if isinstance(frame, PresenceFrame) and frame.channel == channel:
            if name in frame.users:
                now = frame.users[name]
            elif frame.snapshot:
                now = "offline"
            else:
                continue
            if now != (shown[-1] if shown else "offline"):
                shown.append(now)
    return shown


async def sees(peer: Peer, name: str, presence: str) -> None:
    await peer.until(
        lambda: seen(peer, name)[-1:] == [presence], f"{name} {presence}: {seen(peer, name)}"
    )


async def test_presence_of_users_on_another_server_is_seen(pair: list[App]) -> None:
    one, two = pair
    async with Peer.signed_in(url(one), "alice") as alice:
        await alice.join("#room")
        async with Peer.signed_in(url(two), "bob") as bob:
            await bob.join("#room")
            await sees(alice, "bob", "online")
            await sees(bob, "alice", "online")
            await bob.call(SetStatus(status="away"))
            await sees(alice, "bob", "away")
            members = await alice.call(Who(channel="#room"), Members)
            assert {each.name: each.presence for each in members.members} == {
                "alice": "online",
                "bob": "away",
            }
        await sees(alice, "bob", "offline")
        assert seen(alice, "bob") == ["online", "away", "offline"]


async def test_presence_combines_the_sessions_of_all_servers(pair: list[App]) -> None:
    one, two = pair
    async with (
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(one), "bob") as phone,
    ):
        await alice.join("#room")
        await phone.join("#room")
        await sees(alice, "bob", "online")
        async with Peer.signed_in(url(two), "bob", phone.token) as laptop:
            await laptop.call(SetStatus(status="busy"))
            await sees(alice, "bob", "busy")
        await sees(alice, "bob", "online")
        assert seen(alice, "bob")[-3:] == ["online", "busy", "online"]


async def test_client_that_moves_to_another_server_is_not_seen_to_leave(pair: list[App]) -> None:
    one, two = pair
    async with Peer.signed_in(url(one), "alice") as alice:
        await alice.join("#room")
        async with Peer.signed_in(url(one), "bob") as bob:
            await bob.join("#room")
            await sees(alice, "bob", "online")
        async with Peer.signed_in(url(two), "bob", bob.token) as moved:
            await moved.join("#room")
            await asyncio.sleep(3 * QUICK.linger)
            await moved.call(SetStatus(status="away"))
            await sees(alice, "bob", "away")
            assert seen(alice, "bob") == ["online", "away"]


async def test_member_who_leaves_a_channel_is_seen_to_leave_it(pair: list[App]) -> None:
    one, two = pair
    async with (
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        for channel in ("#room", "#other"):
            await alice.join(channel)
            await bob.join(channel)
        await sees(alice, "bob", "online")
        await bob.call(Leave(channel="#room"))
        await sees(alice, "bob", "offline")
        assert seen(alice, "bob", "#other")[-1] == "online"


async def test_users_of_a_dead_server_leave_once_and_return_with_it(
    tmp_path: Path, hub: MemoryHub
) -> None:
    brokers: list[SilentBroker] = []

    def open_broker() -> SilentBroker:
        brokers.append(SilentBroker(hub))
        return brokers[-1]

    async with (
        servers(tmp_path, 2, open_broker, FAST, QUICK) as (one, two),
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
        Peer.signed_in(url(two), "carol") as carol,
    ):
        for peer in (alice, bob, carol):
            await peer.join("#room")
        for presence in ("online", "offline", "online"):
            brokers[1].is_silent = presence == "offline"
            await sees(alice, "bob", presence)
            await sees(alice, "carol", presence)
        assert seen(alice, "bob") == ["online", "offline", "online"]


async def test_typing_is_seen_on_another_server_and_ends(pair: list[App]) -> None:
    one, two = pair
    async with (
        Peer.signed_in(url(one), "alice") as alice,
        Peer.signed_in(url(two), "bob") as bob,
    ):
        await alice.join("#room")
        await bob.join("#room")
        await sees(bob, "alice", "online")
        await bob.call(Typing(channel="#room"))
        await alice.next(TypingFrame, lambda each: each.users == ("bob",))
        await bob.say("done", "#room")
        await alice.next(TypingFrame, lambda each: each.users == ())
