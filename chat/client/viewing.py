"""What a person looks at, of one account: timelines, pages, threads, markers, drafts.

It works without a connection, from the cache; what more there is comes by way of `following`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chat.client.account import Account
from chat.client.preferences import Wish
from chat.client.reaching import lines_down_to, lines_near
from chat.client.screens import PAGE, Screens
from chat.client.state import Message

if TYPE_CHECKING:
    from chat.client.following import Following

__all__ = ["Viewing"]


class Viewing:
    """See the module. A channel that is not known is passed over: its screen is about to go.

    Args:
        account: what is known on this computer.
        screens: are told what to show.
        following: returns what asks the server; None while there is no connection.
    """

    def __init__(
        self, account: Account, screens: Screens, following: Callable[[], Following | None]
    ) -> None:
        self._account = account
        self._screens = screens
        self._ask = following
        self._drafted = {channel for channel, text in account.drafts.items() if text}

    @property
    def opened(self) -> set[str]:
        """The channels that a screen shows."""
        return {c.name for c in self._account.channels.values() if c.shown_from is not None}

    @property
    def _following(self) -> Following | None:
        return self._ask()

    def mark(self, name: str, seq: int) -> None:
        """Move the read marker; the server hears of it when it can."""
        channel = self._account.channels.get(name)
        if channel is None or min(seq, channel.view.position) <= channel.view.read:
            return
        self._account.mark(channel, min(seq, channel.view.position))
        self._screens.channel_list()
        if self._following is not None:
            self._following.marking.soon(channel)

    def prefer(self, name: str, wish: Wish) -> None:
        """Change how one wants a channel; the server hears of it when it can."""
        channel = self._account.channels.get(name)
        if channel is None or not channel.is_kept:
            return
        channel.wish = channel.wish.and_then(wish)
        self._account.touch(channel)
        self._screens.channel_list()
        if self._following is not None:
            self._following.preferring.soon(channel)

    def save_draft(self, channel: str, text: str) -> None:
        """Keep what is typed and not sent."""
        self._account.set_draft(channel, text)
        if (channel in self._drafted) != bool(text):  # the list shows that there is one
            self._drafted ^= {channel}
            self._screens.channel_list()

    def drafts_changed(self) -> None:
        """List the drafts anew: another client has written some."""
        self._drafted = {channel for channel, text in self._account.drafts.items() if text}
        self._screens.channel_list()

    def open_channel(self, name: str) -> None:
        """Show a channel from the cache, and from now on what happens in it."""
        self._screens.open(self._account.followed(name))

    def load_before(self, name: str) -> None:
        """Show an older page: the cached one, or what the server has."""
        channel = self._account.channels.get(name)
        if channel is None or channel.shown_from is None or channel.is_loading:
            return
        lines, lowest = self._account.lines_before(channel, channel.shown_from, PAGE)
        if lowest < channel.shown_from:
            channel.shown_from = lowest
            self._screens.lines(channel, lines, missed=True)
        elif not channel.is_complete and self._following is not None and channel.view.epoch:
            self._following.load_before(channel, channel.shown_from)
            return
        self._screens.edges(channel)

    async def reach(self, name: str, seq: int) -> bool:
        """Show a line, some above it and all that is known below; return whether it is there."""
        channel = self._account.channels.get(name)
        if channel is None:
            return False
        if channel.shown_from is None:
            self.open_channel(name)
        if channel.view.coverage.around(seq) is None and self._following and channel.view.epoch:
            await self._following.fetch(channel, seq)
        lines, channel.shown_from = lines_down_to(self._account, channel, seq)
        self._screens.lines(channel, lines, missed=True)
        self._screens.edges(channel)
        self._screens.tell()
        is_shown = seq >= channel.shown_from and channel.view.is_in_place(seq)
        return is_shown and channel.view.line(seq) is not None

    async def near(self, name: str, seq: int) -> list[Message]:
        """Find some lines before and after one, and itself, without showing them."""
        channel = self._account.channels.get(name)
        if channel is None:
            return []
        lines = lines_near(self._account, channel, seq)
        if not lines and self._following is not None:
            lines = await self._following.read_near(channel, seq)
        return lines

    def load_gap(self, name: str, seq: int) -> None:
        """Show what is missing before `seq`."""
        channel = self._account.channels.get(name)
        if channel is not None and self._following is not None and channel.view.epoch:
            self._following.load_before(channel, seq)
        elif channel is not None:
            self._screens.edges(channel)

    def open_thread(self, name: str, seq: int) -> None:
        """Show the thread of a message: what is at hand, then what the server has."""
        if channel := self._account.channels.get(name):
            self._screens.threads.open(channel, seq)
            self.load_thread()

    def load_thread(self) -> None:
        """Load an older page of the thread that is shown."""
        if self._following is not None and (shown := self._screens.threads.shown):
            self._following.load_thread(self._account.followed(shown[0]))

    def close_thread(self) -> None:
        """Show no thread any more."""
        self._screens.threads.close()
