"""Catching up with one server: to a message wherever it is, to the first unread one, to all.

Nothing is marked read on the way.
"""

from __future__ import annotations

from chat.client.presenter.conversation import Conversation
from chat.client.presenter.port import answer

__all__ = ["jump", "mark", "mark_all", "peek", "search", "show_unread"]


def jump(conversation: Conversation, channel: str, seq: int) -> None:
    """Show a message in the middle of its channel."""
    conversation.view.run_beside(_jump(conversation, channel, seq))


async def _jump(here: Conversation, channel: str, seq: int) -> None:
    with here.reading.held(channel), here.telling():
        here.open_channel(channel)
        is_there = await answer(here.core.reach(channel, seq))
        here.take_in(here.core.drain())
        if channel == here.desk.current and not (is_there and here.view.choose(seq)):
            here.view.say("That message is not on this computer, and cannot be had now.", "warning")
    _see(here, channel)


def _see(here: Conversation, channel: str) -> None:
    """Mark what shows at the end of a way: while it was held, that was not told."""
    seq = here.view.showing()
    if seq is not None and channel == here.desk.current:
        here.seen(channel, seq)


def show_unread(conversation: Conversation) -> None:
    """Show the first message that was unread when one came here."""
    conversation.view.run_beside(_show_unread(conversation))


async def _show_unread(here: Conversation) -> None:
    channel, first = here.desk.current, here.view.unread_from()
    with here.reading.held(channel or ""), here.telling():
        if channel and first is not None:
            await answer(here.core.reach(channel, first))
            here.take_in(here.core.drain())
        here.view.show_unread()
    _see(here, channel or "")


def search(conversation: Conversation, typed: str = "") -> None:
    """Show what a search finds; without words the one before, or where to write them."""
    conversation.view.run_beside(_search(conversation, typed))


async def _search(here: Conversation, typed: str) -> None:
    with here.telling(f"/search {typed}"):
        if typed:
            await here.finding.begin(typed, here.desk.user)
        here.view.list_found(here.finding, here.desk)


def mark(conversation: Conversation, channel: str) -> None:
    """Mark everything in a channel as read."""
    info = conversation.desk.channels.get(channel)
    if info is not None and info.head:
        conversation.core.mark(channel, info.head)


def mark_all(conversation: Conversation) -> None:
    """Mark everything in all channels as read."""
    for info in conversation.desk.channels.values():
        if info.unread or info.mentions:
            mark(conversation, info.name)


def peek(conversation: Conversation, channel: str) -> None:
    """Look at a channel without reading it; at the one that is shown: not any more."""
    reading = conversation.reading
    if channel == conversation.desk.current:
        reading.peek(not reading.is_peeking)
    else:
        with reading.held(channel):
            conversation.open_channel(channel)
            reading.peek(True)
    conversation.redraw()
