"""Reads take turns by session and by user, and do not delay sign-ins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from threading import Semaphore
from typing import Any

import pytest

from chat.protocol.commands import Hello, History, Ping
from chat.protocol.frames import Page, Welcome
from chat.store.backend import READERS
from chat.store.operations import Membership, PageRead, User
from chat.store.read.reader import Reader
from tests.model.world import World
from tests.serving import PATIENCE, Peer

NewWorld = Callable[[], World]


class HeldPages:
    """Replaces `Reader.page`: records the user of each page, and holds pages back."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = Semaphore(0)

    def read(self, reader: Reader, user: User, channel: str, **where: Any) -> PageRead:
        """Read a page once it is released."""
        self.begun.append(user.name)
        assert self.may_end.acquire(timeout=PATIENCE)
        return reader.page(user, channel, **where)


@pytest.fixture
def pages() -> Iterator[HeldPages]:
    held = HeldPages()
    yield held
    held.may_end.release(999)


@asynccontextmanager
async def running(world: World, pages: HeldPages | None = None) -> AsyncIterator[World]:
    """Run a world; `pages` replaces the pages of its store."""
    await world.start()
    if pages is not None:
        world.store.replaced["page"] = pages.read
    try:
        yield world
    finally:
        await world.stop()


def has_pages(peer: Peer, count: int) -> bool:
    """Whether so many pages have arrived."""
    return len(peer.kept(Page)) == count


def session_of(peer: Peer) -> str:
    """Return the id of a peer's session."""
    assert peer.welcome is not None
    return peer.welcome.session


async def ask(peer: Peer, count: int) -> list[str]:
    """Request pages; return the commands' ids once the server has received them."""
    asked = [await peer.post(History(channel="#general")) for _ in range(count)]
    await peer.settle()
    return asked


async def until(condition: Callable[[], bool]) -> None:
    """Wait in this event loop, which is also the server's."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


async def test_many_reads_of_one_person_delay_only_that_person(
    new_world: NewWorld, pages: HeldPages
) -> None:
    async with (
        running(new_world(), pages) as world,
        Peer.signed_in(world.url, "alice") as alice,
        Peer.signed_in(world.url, "alice", alice.token) as tablet,
        Peer.signed_in(world.url, "alice", alice.token) as phone,
        Peer.signed_in(world.url, "alice", alice.token) as laptop,
        Peer.signed_in(world.url, "bob") as bob,
    ):
        asked = await ask(alice, 10)
        for device in (tablet, phone, laptop):
            await ask(device, 10)
        await ask(bob, 1)
        await until(lambda: pages.begun == ["alice", "bob"])
        pages.may_end.release(41)
        for device in (alice, tablet, phone, laptop):
            await device.until(partial(has_pages, device, 10), "every page")
        assert [page.id for page in alice.kept(Page)] == asked


async def test_reads_of_a_closed_session_are_dropped(new_world: NewWorld, pages: HeldPages) -> None:
    async with running(new_world(), pages) as world, Peer.signed_in(world.url, "bob") as bob:
        async with Peer.signed_in(world.url, "alice") as alice:
            await ask(alice, 10)
        await until(lambda: len(world.sessions) == 1)
        async with Peer.signed_in(world.url, "alice", alice.token) as again:
            await ask(again, 1)
            await ask(bob, 1)
            pages.may_end.release(3)
            await again.next(Page)
            await bob.next(Page)
        assert sorted(pages.begun) == ["alice", "alice", "bob"]


async def test_pages_for_a_peer_that_does_not_read_are_not_loaded(
    new_world: NewWorld, pages: HeldPages
) -> None:
    async with (
        running(new_world(), pages) as world,
        Peer.signed_in(world.url, "alice") as alice,
        Peer.signed_in(world.url, "alice", alice.token) as phone,
    ):
        (stalled,) = (each for each in world.sessions if each.id == session_of(alice))
        stalled.connection.pause_writing()  # as the transport does when the peer does not read
        for _ in range(10):
            await alice.post(History(channel="#general"))
        pages.may_end.release(99)
        await ask(phone, 1)
        await phone.next(Page)
        assert pages.begun == ["alice"], "the other device does not wait for it"
        stalled.connection.resume_writing()
        await alice.until(lambda: len(alice.kept(Page)) == 10, "every page")


async def test_sign_in_does_not_wait_for_history_reads(
    new_world: NewWorld, pages: HeldPages
) -> None:
    async with running(new_world(), pages) as world:
        async with Peer.signed_in(world.url, "carol") as carol:
            token = carol.token
        async with AsyncExitStack() as stack:
            for number in range(10):
                reader = Peer.signed_in(world.url, f"reader{number}")
                await ask(await stack.enter_async_context(reader), 1)
            await until(lambda: len(pages.begun) >= READERS)
            async with Peer.signed_in(world.url, "carol", token) as carol:
                await carol.settle()
            pages.may_end.release(99)


async def test_received_hello_has_no_timeout(
    new_world: NewWorld,
) -> None:
    world = new_world()
    world.settings = (world.settings[0].model_copy(update={"hello_timeout": 3.0}),)
    async with running(world):
        async with Peer.signed_in(world.url, "carol") as carol:
            token = carol.token
        may_read = Semaphore(0)

        def late(reader: Reader, user: User) -> tuple[Membership, ...]:
            assert may_read.acquire(timeout=PATIENCE)
            return reader.memberships(user)

        world.store.replaced["memberships"] = late
        async with Peer.connect(world.url) as carol:
            await carol.post(Hello(v=1, name="carol", token=token))
            async with Peer.connect(world.url) as silent:
                await silent.close_code()  # the time limit of hello has passed
            may_read.release()
            await carol.next(Welcome)
            await carol.call(Ping())
