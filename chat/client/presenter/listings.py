"""Lists that the server gives: all channels, all members of one, what is pinned in it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from chat.client.presenter import catching_up
from chat.client.presenter.choice import Choice
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.local_time import local_time
from chat.client.presenter.markdown import gist
from chat.client.presenter.port import answer

if TYPE_CHECKING:
    from chat.protocol.frames import ChannelList, ChannelListing, Member, Members
    from chat.protocol.items import Item

__all__ = ["list_channels", "list_members", "list_pins"]

T = TypeVar("T")
_PAGES_MAX = 50


def list_channels(conversation: Conversation) -> None:
    """Show all channels there are; choosing one enters it."""
    add = conversation.view.list_rows("All channels", conversation.join, "/join NAME enters one")

    def take(page: ChannelList) -> str | None:
        add(_channel(listing) for listing in page.channels)
        return page.cursor

    _list(conversation, _pages(conversation.core.channels, take))


def list_members(conversation: Conversation, channel: str) -> None:
    """Show who is in a channel; choosing somebody opens the direct channel."""
    add = conversation.view.list_rows(
        f"Members of {channel}", conversation.write_to, "/msg NAME TEXT writes to one"
    )

    def take(page: Members) -> str | None:
        add(_member(each) for each in page.members)
        return page.cursor

    _list(conversation, _pages(lambda cursor: conversation.core.who(channel, cursor), take))


def list_pins(conversation: Conversation, channel: str) -> None:
    """Show what is pinned in a channel, the newest first; choosing a message goes there."""

    def go(key: str) -> None:
        catching_up.jump(conversation, channel, int(key))

    async def work() -> None:
        page = await answer(conversation.core.pins(channel))
        if page.items:
            add = conversation.view.list_rows("Pinned", go, "/unpin NUMBER takes a pin away")
            add(map(_pin, reversed(page.items)))
        else:
            conversation.view.say("Nothing is pinned here.")

    _list(conversation, work())


def _list(conversation: Conversation, work: Coroutine[None, None, None]) -> None:
    async def told() -> None:
        with conversation.telling():
            await work

    conversation.view.run_beside(told())


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
    label = f"{item.seq}. {item.author}, {local_time(item.ts):%d %b %Y %H:%M}"
    return Choice(str(item.seq), label, gist(item.text or ""))
