"""Races between reading a log and attaching, reproduced by delaying reads or commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.network.backoff import Backoff
from chat.errors import StoreUnavailable
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Hello, History, Join, Leave, Ping, Prefer, ResumeFrom, Send
from chat.protocol.frames import ErrorFrame, Heads, Joined, Page, Welcome
from chat.protocol.items import Event
from chat.server.channels.live import RECENT
from chat.store.operations import Resumed, User
from chat.store.read.reader import Reader
from tests.client.screen import Screen
from tests.held_store import HeldStore
from tests.model.world import LIMITS, World
from tests.serving import PATIENCE, Peer

NewWorld = Callable[[], World]


@asynccontextmanager
async def two_in_a_room(world: World) -> AsyncIterator[tuple[Peer, Peer]]:
    """Run a world with two members of #room, of whom only the first follows it."""
    await world.start()
    try:
        async with Peer.signed_in(world.url, "bob") as bob:
            joined = await bob.join("#room")
            token = bob.token
        async with (
            Peer.signed_in(world.url, "alice") as alice,
            Peer.signed_in(world.url, "bob", token) as bob,
        ):
            assert (await alice.join("#room")).head == joined.head + 1
            yield alice, bob
    finally:
        await world.stop()


async def talk(peer: Peer, count: int) -> None:
    """Send `count` messages to #room."""
    for number in range(count - 1):
        await peer.post(Send(channel="#room", text=str(number)))
    await peer.say("last", "#room")


async def until(condition: Callable[[], bool]) -> None:
    """Wait in this event loop, which is also the server's."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def fail_once(store: HeldStore) -> list[str]:
    """Let a reader's next `resume` fail; return the channel of that read."""
    tried: list[str] = []

    def fail(reader: Reader, user: User, channel: str, *given: Any, **more: Any) -> Resumed:
        if tried:
            return reader.resume(user, channel, *given, **more)
        tried.append(channel)
        raise StoreUnavailable("the disk does not answer")

    store.replaced["resume"] = fail
    return tried


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.promise(
    3,
    fault="messages arrive between the read of a `join` and its subscription",
    result="they come after `joined`: every number once, in order",
)
async def test_messages_sent_between_reading_and_attaching_follow_the_page(
    new_world: NewWorld, is_resumed: bool
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        joined = await alice.join("#room")
        position = ResumeFrom(epoch=joined.epoch, after=1) if is_resumed else None
        with world.store.hold("read") as held:
            await bob.post(Join(channel="#room", resume=position))
            await held.until_done()
        await talk(alice, 20)
        held.release()
        back = await bob.next(Joined)
        assert (back.head, back.complete, back.recovered) == (joined.head, True, is_resumed)
        await alice.say("live", "#room")
        await bob.next(Event, lambda event: event.text == "live")
        seqs = [frame.seq for frame in bob.received if isinstance(frame, Event)]
        assert seqs == list(range(back.head + 1, back.head + 22))


async def test_preference_changed_between_reading_and_attaching_is_in_joined(
    new_world: NewWorld,
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (_alice, bob):
        with world.store.hold("read") as held:
            await bob.post(Join(channel="#room"))
            await held.until_done()
        await bob.call(Prefer(channel="#room", muted=True, level="none"))
        held.release()
        joined = await bob.next(Joined)
        assert (joined.muted, joined.level) == (True, "none")


@pytest.mark.promise(
    3,
    fault="more messages arrive in between than a live channel keeps for replay",
    result="`complete: false`, no event; further reading reaches the head",
)
async def test_session_that_falls_too_far_behind_during_a_read_continues_with_history(
    new_world: NewWorld,
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        with world.store.hold("read") as held:
            await bob.post(Join(channel="#room"))
            await held.until_done()
        await talk(alice, RECENT + 1)
        held.release()
        joined = await bob.next(Joined)
        assert not joined.complete
        last, is_complete = joined.head, False
        while not is_complete:
            assert not [frame for frame in bob.received if isinstance(frame, Event)]
            page = await bob.call(History(channel="#room", after=last, limit=LIMITS.page), Page)
            assert [item.seq for item in page.items] == [
                last + n + 1 for n in range(len(page.items))
            ]
            last, is_complete = page.items[-1].seq, page.complete
        assert last == joined.head + RECENT + 1
        live = await alice.say("live", "#room")
        assert (await bob.next_event("#room")).seq == live.seq == last + 1


async def test_first_joiner_follows_while_others_join(new_world: NewWorld) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        with world.store.hold("read") as held:
            await alice.post(Join(channel="#new"))
            await held.until_done()
            await bob.post(Join(channel="#new"))
            said = await bob.say("me too", "#new")
        held.release()
        joined = await alice.next(Joined)
        assert (joined.channel, joined.head, joined.complete) == ("#new", 1, True)
        assert (await alice.next_event("#new", "message")).seq == said.seq == 3


@pytest.mark.promise(
    3,
    fault="a log is read after a commit and before its events are delivered",
    result="the page contains them, and they are not delivered again",
)
async def test_event_read_before_its_delivery_is_not_sent_twice(
    new_world: NewWorld,
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        with world.store.hold("read") as held, world.store.commits.hold() as commits:
            await alice.post(Send(channel="#room", text="committed"))
            await until(lambda: bool(commits))
            await bob.post(History(channel="#room", after=0))
            await held.until_done()
        held.release()
        await bob.call(Ping())
        assert not bob.kept(Page)  # the page's events are not delivered yet
        world.store.commits.release()
        page = await bob.next(Page)
        assert (page.items[-1].text, page.complete) == ("committed", True)
        live = await alice.say("live", "#room")
        assert (await bob.next_event("#room")).seq == live.seq == page.head + 1


async def test_joins_and_leaves_during_a_sign_in_are_not_missed(
    new_world: NewWorld,
) -> None:
    world = new_world()
    async with (
        two_in_a_room(world) as (alice, _bob),
        Peer.signed_in(world.url, "carol") as phone,
    ):
        await phone.join("#room")
        async with Peer.connect(world.url) as laptop:
            with world.store.hold("welcome") as held:
                await laptop.post(Hello(v=PROTOCOL_VERSION, name="carol", token=phone.token))
                await held.until_done()
            await phone.call(Leave(channel="#room"))
            await phone.join("#new")
            held.release()
            welcome = await laptop.next(Welcome)
            assert {each.channel for each in welcome.channels} == {"#general", "#room"}
            assert (await laptop.next(Joined)).channel == "#new"
            assert laptop.received[0] == welcome
            await alice.say("for members", "#room")
            for session in world.sessions:
                session.heartbeat()
            assert "#room" not in (await laptop.next(Heads)).heads


async def test_failed_resume_names_its_channel(new_world: NewWorld) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, _bob):
        async with Peer.signed_in(world.url, "carol") as carol:
            joined = await carol.join("#room")
        position = ResumeFrom(epoch=joined.epoch, after=joined.head)
        fail_once(world.store)
        async with Peer.connect(world.url) as again:
            await again.hello("carol", carol.token, {"#room": position})
            error = await again.next(ErrorFrame)
            assert (error.id, error.code, error.channel) == (None, "unavailable", "#room")
            assert error.retryable
            assert error.retry_after
            await again.call(Join(channel="#room", resume=position), Joined)
            said = await alice.say("live", "#room")
            assert (await again.next_event("#room")).seq == said.seq


async def test_client_follows_again_after_a_failed_resume(
    new_world: NewWorld, tmp_path: Path
) -> None:
    world = new_world()
    await world.start()
    settings = ClientSettings(name="bob", url=world.url, data=tmp_path / "bob")
    try:
        async with Peer.signed_in(world.url, "alice") as alice:
            before, after = (Screen(settings, Backoff(0.02, 0.05)) for _ in range(2))
            with started(before):
                await asyncio.to_thread(before.open)
            await alice.say("while away")
            tried = fail_once(world.store)
            with started(after):
                await asyncio.to_thread(after.wait, lambda: tried == ["#general"])
                after.core.open_channel("#general")
                await asyncio.to_thread(after.wait_texts, "while away")
                await alice.say("live")
                await asyncio.to_thread(after.wait_texts, "while away", "live")
    finally:
        await world.stop()


@contextmanager
def started(screen: Screen) -> Iterator[None]:
    """Run a client's core."""
    screen.core.start()
    try:
        yield
    finally:
        screen.stop()
