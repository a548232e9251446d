"""Searches take turns by user, and abandoned searches are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Semaphore

import pytest

from chat.protocol.commands import Search
from chat.protocol.frames import Results
from chat.store.operations import User
from chat.store.read.reader import Reader
from chat.store.search.search import Found, Wanted
from tests.model.world import World
from tests.serving import PATIENCE, Peer


class Searches:
    """The users whose searches were started; each ends when it is released."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = Semaphore(0)

    def search(self, _reader: Reader, user: User, _channel: str | None, _wanted: Wanted) -> Found:
        """Replace a `Reader`'s search."""
        self.begun.append(user.name)
        assert self.may_end.acquire(timeout=PATIENCE)
        return Found((), None)


@pytest.fixture
def searches() -> Searches:
    return Searches()


async def ask(peer: Peer, count: int) -> list[str]:
    """Send searches; return their ids once the server has received them."""
    asked = [await peer.post(Search(query="x")) for _ in range(count)]
    await peer.settle()
    return asked


async def test_many_searches_of_one_person_delay_only_that_person(
    new_world: Callable[[], World], searches: Searches
) -> None:
    world = new_world()
    await world.start()
    world.store.replaced["search"] = searches.search
    try:
        async with (
            Peer.signed_in(world.url, "alice") as alice,
            Peer.signed_in(world.url, "bob") as bob,
        ):
            asked = await ask(alice, 10)
            await ask(bob, 1)
            searches.may_end.release(11)
            await alice.until(lambda: len(alice.kept(Results)) == 10, "every answer")
            assert [found.id for found in alice.kept(Results)] == asked
            assert searches.begun == ["alice", "bob", *["alice"] * 9]
    finally:
        searches.may_end.release(99)
        await world.stop()


async def test_disconnecting_drops_pending_searches(
    new_world: Callable[[], World], searches: Searches
) -> None:
    world = new_world()
    await world.start()
    world.store.replaced["search"] = searches.search
    try:
        async with Peer.signed_in(world.url, "bob") as bob:
            async with Peer.signed_in(world.url, "alice") as alice:
                token = alice.token
                await ask(alice, 10)
            async with asyncio.timeout(PATIENCE):
                while len(world.sessions) > 1:
                    await asyncio.sleep(0.01)
            async with Peer.signed_in(world.url, "alice", token) as alice:
                await ask(alice, 1)
                await ask(bob, 1)
                searches.may_end.release(3)
                await alice.next(Results)
                await bob.next(Results)
            assert sorted(searches.begun) == ["alice", "alice", "bob"]
    finally:
        searches.may_end.release(99)
        await world.stop()
