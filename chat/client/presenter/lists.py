"""Lists of channels, members and pinned messages, read from the server page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from chat.client.platform.local_time import local_time
from chat.client.presenter.conversation import Conversation, jump
from chat.client.presenter.markdown import gist
from chat.client.presenter.view import AddRows, Choice
from chat.client.sync.core import Core, answer
from chat.errors import ChatError
from chat.text import channel_title

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy
    from chat.protocol.frames import ChannelList, ChannelListing, Member, Members
    from chat.protocol.items import Item

__all__ = ["list_channels", "list_members", "list_pins", "members", "read_pages", "run_reported"]

T = TypeVar("T")
C = TypeVar("C")
_PAGES_MAX = 50
_PINS_PAGE = 1_000


def list_channels(conversation: Conversation) -> None:
    """List the server's channels; choosing one joins it."""
    from chat.protocol.commands import Channels

    add = conversation.view.list_rows(
        "All channels", conversation.join, "Use /join NAME to join one"
    )

    def take(page: ChannelList) -> str | None:
        add(_channel(listing) for listing in page.channels)
        return page.cursor

    run_reported(
        conversation, read_pages(conversation, add, lambda cursor: Channels(cursor=cursor), take)
    )


def list_members(conversation: Conversation, channel: str, then: Callable[[str], None]) -> None:
    """List a channel's members; `then` gets the name of a chosen one."""
    from chat.protocol.commands import Who

    add = conversation.view.list_rows(
        f"Members of {channel_title(channel, conversation.state.user)}",
        then,
        "Use /msg NAME TEXT to message one",
    )

    def take(page: Members) -> str | None:
        add(_member(each) for each in page.members)
        return page.cursor

    run_reported(
        conversation,
        read_pages(conversation, add, lambda cursor: Who(channel=channel, cursor=cursor), take),
    )


def list_pins(conversation: Conversation, channel: str) -> None:
    """List a channel's pinned messages, newest first; choosing one goes to it."""

    def go(key: str) -> None:
        jump(conversation, channel, int(key))

    async def work() -> None:
        pins = [item async for item in _pins_of(conversation.core, channel)]
        if pins:
            add = conversation.view.list_rows("Pinned", go, "Use /unpin NUMBER to unpin one")
            add(map(_pin_choice, pins))
        else:
            conversation.view.say("No pinned messages here.")

    run_reported(conversation, work())


async def _pins_of(core: Core, channel: str) -> AsyncIterator[Item]:
    """Yield a channel's pinned messages, newest first, page by page."""
    from chat.protocol.commands import History

    before: int | None = None
    for _ in range(_PAGES_MAX):
        page = await answer(
            core.ask(History(channel=channel, pins=True, before=before, limit=_PINS_PAGE))
        )
        items = [item for item in reversed(page.items) if before is None or item.seq < before]
        for item in items:
            yield item
        if page.complete or not items:
            return
        before = items[-1].seq


def run_reported(conversation: Conversation, work: Coroutine[None, None, None]) -> None:
    """Run a coroutine in the background; show the user a `ChatError` that it raises."""

    async def reported() -> None:
        with conversation.telling():
            await work

    conversation.view.run_in_background(reported())


async def read_pages(
    conversation: Conversation,
    add: AddRows,
    page_after: Callable[[C | None], AnsweredBy[T]],
    take: Callable[[T], C | None],
) -> None:
    """Read pages until `take`, which gets each and returns the next cursor, returns None.

    If reading fails, `add` shows the reason as the last row: an open list is not left empty.
    """
    cursor: C | None = None
    try:
        for _ in range(_PAGES_MAX):
            cursor = take(await answer(conversation.core.ask(page_after(cursor))))
            if cursor is None:
                return
    except ChatError as exc:
        add([Choice("", str(exc))])


def _channel(listing: ChannelListing) -> Choice:
    note = " · ".join(filter(None, (members(listing), listing.topic)))
    return Choice(listing.channel, listing.channel, note)


def members(listing: ChannelListing) -> str:
    """Return the member count as text."""
    return "1 member" if listing.members == 1 else f"{listing.members:,} members"


def _member(member: Member) -> Choice:
    role = "" if member.role == "member" else f" · {member.role}"
    return Choice(member.name, member.name, f"{member.presence}{role}")


def _pin_choice(item: Item) -> Choice:
    label = f"{item.seq}. {item.author}, {local_time(item.ts):%d %b %Y %H:%M}"
    return Choice(str(item.seq), label, gist(item.text or ""))
