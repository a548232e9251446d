"""Lists that the server gives: all channels, all members of one, what is pinned in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from chat.client.tui.choice import Choice
from chat.client.tui.local_time import local_time
from chat.client.tui.port import CorePort
from chat.protocol.frames import ChannelList, ChannelListing, Member, Members
from chat.protocol.items import Item

__all__ = ["AddRows", "answer", "channels", "members", "pins"]

T = TypeVar("T")
AddRows = Callable[[Iterable[Choice]], None]
_PAGES_MAX = 50


async def answer(future: Future[T]) -> T:
    """Wait for an answer of the core; giving up here leaves the core's future alone."""
    return await asyncio.shield(asyncio.wrap_future(future))


async def channels(core: CorePort, add: AddRows) -> None:
    """Hand all public channels to `add`, a page at a time.

    Raises:
        ChatError: the list cannot be had.
    """

    def take(page: ChannelList) -> str | None:
        add(_channel(listing) for listing in page.channels)
        return page.cursor

    await _pages(core.channels, take)


async def members(core: CorePort, channel: str, add: AddRows) -> None:
    """Hand all members of `channel` to `add`, a page at a time.

    Raises:
        ChatError: the list cannot be had.
    """

    def take(page: Members) -> str | None:
        add(_member(each) for each in page.members)
        return page.cursor

    await _pages(lambda cursor: core.who(channel, cursor), take)


async def pins(core: CorePort, channel: str) -> list[Choice]:
    """Return the messages that are pinned in `channel`, the newest first.

    Raises:
        ChatError: they cannot be had.
    """
    page = await answer(core.pins(channel))
    return [_pin(item) for item in reversed(page.items)]


async def _pages(ask: Callable[[str | None], Future[T]], take: Callable[[T], str | None]) -> None:
    cursor: str | None = None
    for _ in range(_PAGES_MAX):
        cursor = take(await answer(ask(cursor)))
        if cursor is None:
            return


def _channel(listing: ChannelListing) -> Choice:
    people = f"{listing.members:,} in it"
    note = f"{people} · {listing.topic}" if listing.topic else people
    return Choice(listing.channel, listing.channel, note)


def _member(member: Member) -> Choice:
    role = "" if member.role == "member" else f" · {member.role}"
    return Choice(member.name, member.name, f"{member.presence}{role}")


def _pin(item: Item) -> Choice:
    when = local_time(item.ts)
    return Choice(str(item.seq), f"{item.author}, {when:%d %b %H:%M}", item.text or "")
