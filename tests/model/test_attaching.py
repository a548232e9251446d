"""The moments between reading a log and following it, made certain by holding something back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
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
from tests.model.world import LIMITS, World
from tests.serving import PATIENCE, Peer

NewWorld = Callable[[], World]


class HeldReads:
    """Reads of a server that are done at once, but told only when they are let go."""

    def __init__(self, read: Callable[[Any], Future[Any]]) -> None:
        self._read = read
        self._done: list[tuple[Future[Any], Future[Any]]] = []

    @property
    def are_done(self) -> bool:
        """Whether something was read and is held."""
        return any(found.done() for found, _told in self._done)

    def read(self, query: Any) -> Future[Any]:
        """Stand in for a method of the store."""
        told: Future[Any] = Future()
        self._done.append((self._read(query), told))
        return told

    def let_go(self) -> None:
        """Tell what was read."""
        for found, told in self._done:
            told.set_result(found.result())


class HeldEvents:
    """Keeps events back that were committed, until it lets go."""

    def __init__(self, deliver: Callable[[Sequence[Event]], None]) -> None:
        self._deliver = deliver
        self.held: list[Sequence[Event]] = []

    def let_go(self) -> None:
        """Deliver what was held."""
        for events in self.held:
            self._deliver(events)


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
    """Say `count` things in #room."""
    for number in range(count - 1):
        await peer.post(Send(channel="#room", text=str(number)))
    await peer.say("last", "#room")


async def until(condition: Callable[[], bool]) -> None:
    """Wait in this event loop, which is the server's too."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


def fail_once(patch: pytest.MonkeyPatch) -> list[str]:
    """Have the next reading on from a position fail; return whose channel that will be."""
    tried: list[str] = []
    resume = Reader.resume

    def fail(reader: Reader, user: User, channel: str, *given: Any, **more: Any) -> Resumed:
        if tried:
            return resume(reader, user, channel, *given, **more)
        tried.append(channel)
        raise StoreUnavailable("the disk does not answer")

    patch.setattr(Reader, "resume", fail)
    return tried


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.promise(
    3,
    fault="messages arrive between the read of a `join` and its subscription",
    result="they come after `joined`: every number once, in order",
)
async def test_what_is_said_between_reading_and_following_comes_after_it(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, is_resumed: bool
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        joined = await alice.join("#room")
        position = ResumeFrom(epoch=joined.epoch, after=1) if is_resumed else None
        held = HeldReads(world.app.store.read)
        with monkeypatch.context() as patch:
            patch.setattr(world.app.store, "read", held.read)
            await bob.post(Join(channel="#room", resume=position))
            await until(lambda: held.are_done)
        await talk(alice, 20)
        held.let_go()
        back = await bob.next(Joined)
        assert (back.head, back.complete, back.recovered) == (joined.head, True, is_resumed)
        await alice.say("live", "#room")
        await bob.next(Event, lambda event: event.text == "live")
        seqs = [frame.seq for frame in bob.received if isinstance(frame, Event)]
        assert seqs == list(range(back.head + 1, back.head + 22))


async def test_a_preference_that_changes_between_reading_and_following_counts(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (_alice, bob):
        held = HeldReads(world.app.store.read)
        with monkeypatch.context() as patch:
            patch.setattr(world.app.store, "read", held.read)
            await bob.post(Join(channel="#room"))
            await until(lambda: held.are_done)
        await bob.call(Prefer(channel="#room", muted=True, level="none"))
        held.let_go()
        joined = await bob.next(Joined)
        assert (joined.muted, joined.level) == (True, "none")


@pytest.mark.promise(
    3,
    fault="more messages arrive in between than a live channel keeps for replay",
    result="`complete: false`, no event, and reading on leads to the head",
)
async def test_who_falls_too_far_behind_while_reading_reads_on(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        held = HeldReads(world.app.store.read)
        with monkeypatch.context() as patch:
            patch.setattr(world.app.store, "read", held.read)
            await bob.post(Join(channel="#room"))
            await until(lambda: held.are_done)
        await talk(alice, RECENT + 1)
        held.let_go()
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


async def test_who_joins_first_follows_though_others_join_meanwhile(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        held = HeldReads(world.app.store.read)
        with monkeypatch.context() as patch:
            patch.setattr(world.app.store, "read", held.read)
            await alice.post(Join(channel="#new"))
            await until(lambda: held.are_done)
            await bob.post(Join(channel="#new"))
            said = await bob.say("me too", "#new")
        held.let_go()
        joined = await alice.next(Joined)
        assert (joined.channel, joined.head, joined.complete) == ("#new", 1, True)
        assert (await alice.next_event("#new", "message")).seq == said.seq == 3


@pytest.mark.promise(
    3,
    fault="a log is read after a commit and before its events are delivered",
    result="the page holds them, and they do not come again",
)
async def test_what_was_read_before_it_was_delivered_does_not_come_twice(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, bob):
        held, channels = HeldReads(world.app.store.read), world.app.context.channels
        events = HeldEvents(channels.deliver)
        with monkeypatch.context() as patch:
            patch.setattr(world.app.store, "read", held.read)
            patch.setattr(channels, "deliver", events.held.append)
            await alice.post(Send(channel="#room", text="committed"))
            await until(lambda: bool(events.held))
            await bob.post(History(channel="#room", after=0))
            await until(lambda: held.are_done)
        held.let_go()
        await bob.call(Ping())
        assert not bob.kept(Page)  # what it holds is not delivered yet
        events.let_go()
        page = await bob.next(Page)
        assert (page.items[-1].text, page.complete) == ("committed", True)
        live = await alice.say("live", "#room")
        assert (await bob.next_event("#room")).seq == live.seq == page.head + 1


async def test_what_a_person_joins_and_leaves_during_a_sign_in_is_not_missed(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with (
        two_in_a_room(world) as (alice, _bob),
        Peer.signed_in(world.url, "carol") as phone,
    ):
        await phone.join("#room")
        held = HeldReads(world.app.store.welcome)
        async with Peer.connect(world.url) as laptop:
            with monkeypatch.context() as patch:
                patch.setattr(world.app.store, "welcome", held.read)
                await laptop.post(Hello(v=PROTOCOL_VERSION, name="carol", token=phone.token))
                await until(lambda: held.are_done)
            await phone.call(Leave(channel="#room"))
            await phone.join("#new")
            held.let_go()
            welcome = await laptop.next(Welcome)
            assert {each.channel for each in welcome.channels} == {"#general", "#room"}
            assert (await laptop.next(Joined)).channel == "#new"
            assert laptop.received[0] == welcome
            await alice.say("for members", "#room")
            for session in world.sessions:
                session.heartbeat()
            assert "#room" not in (await laptop.next(Heads)).heads


async def test_a_resume_that_cannot_be_read_names_its_channel(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    async with two_in_a_room(world) as (alice, _bob):
        async with Peer.signed_in(world.url, "carol") as carol:
            joined = await carol.join("#room")
        position = ResumeFrom(epoch=joined.epoch, after=joined.head)
        fail_once(monkeypatch)
        async with Peer.connect(world.url) as again:
            await again.hello("carol", carol.token, {"#room": position})
            error = await again.next(ErrorFrame)
            assert (error.id, error.code, error.channel) == (None, "unavailable", "#room")
            assert error.retryable
            assert error.retry_after
            await again.call(Join(channel="#room", resume=position), Joined)
            said = await alice.say("live", "#room")
            assert (await again.next_event("#room")).seq == said.seq


async def test_a_client_follows_again_what_could_not_be_resumed(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
            tried = fail_once(monkeypatch)
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
