"""Catching up with one server: to a message wherever it is, to the first unread one, to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.client.tui import listings
from chat.client.tui.finding import Finding
from chat.client.tui.listings import answer

if TYPE_CHECKING:
    from chat.client.tui.conversation import Conversation

__all__ = ["CatchingUp"]


class CatchingUp:
    """Finds what a person has missed, in `conversation`; nothing is marked read on the way."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.finding = Finding(conversation.core)

    def jump(self, channel: str, seq: int) -> None:
        """Show a message in the middle of its channel."""
        self._conversation.view.run_beside(self._jump(channel, seq))

    async def _jump(self, channel: str, seq: int) -> None:
        here = self._conversation
        with here.reading.held(), here.telling():
            here.open_channel(channel)
            is_there = await answer(here.core.reach(channel, seq))
            here.take_in(here.core.drain())
            if channel == here.desk.current and not (is_there and here.view.choose(seq)):
                here.view.say(
                    "That message is not on this computer, and cannot be had now.", "warning"
                )

    def show_unread(self) -> None:
        """Show the first message that was unread when one came here."""
        self._conversation.view.run_beside(self._show_unread())

    async def _show_unread(self) -> None:
        here = self._conversation
        channel, first = here.desk.current, here.view.unread_from()
        with here.reading.held(), here.telling():
            if channel and first is not None:
                await answer(here.core.reach(channel, first))
                here.take_in(here.core.drain())
            here.view.show_unread()

    def search(self, typed: str = "") -> None:
        """Show what a search finds; without words the one before, or where to write them."""
        self._conversation.view.run_beside(self._search(typed))

    async def _search(self, typed: str) -> None:
        here = self._conversation
        with here.telling(f"/search {typed}"):
            if typed:
                await self.finding.begin(typed, here.desk.user)
            here.view.list_found(self.finding, here)

    def list_pins(self, channel: str) -> None:
        """List what is pinned in a channel; choosing a message shows it."""
        here = self._conversation
        here.view.run_beside(self._list_pins(channel))

    async def _list_pins(self, channel: str) -> None:
        here = self._conversation
        with here.telling():
            found = await listings.pins(here.core, channel)
            if not found:
                here.view.say("Nothing is pinned here.")
                return
            add = here.view.list_rows("Pinned", lambda key: self.jump(channel, int(key)))
            add(found)

    def mark(self, channel: str) -> None:
        """Mark everything in a channel as read."""
        info = self._conversation.desk.channels.get(channel)
        if info is not None and info.head:
            self._conversation.core.mark(channel, info.head)

    def mark_all(self) -> None:
        """Mark everything in all channels as read."""
        for info in self._conversation.desk.channels.values():
            if info.unread or info.mentions:
                self.mark(info.name)

    def peek(self, channel: str) -> None:
        """Look at a channel without reading it; at the one that is shown: not any more."""
        here = self._conversation
        if channel == here.desk.current:
            here.reading.peek(not here.reading.is_peeking)
        else:
            with here.reading.held():
                here.open_channel(channel)
                here.reading.peek(True)
        here.redraw()
