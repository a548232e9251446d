"""What the screens are told, gathered: many changes of one moment become one update each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chat.client.account import Account
from chat.client.followed import Followed
from chat.client.state import (
    ChannelsChanged,
    Message,
    TimelineChanged,
    TypingChanged,
    Update,
)
from chat.client.threads import Threads
from chat.text import GENERAL

__all__ = ["PAGE", "Screens"]

PAGE = 100
"""Lines that a channel opens with, and that one more page has."""


class Screens:
    """Gathers changes of an account, and tells them once the event loop comes round.

    Args:
        account: what is shown.
        put: hands an update over.
        soon: calls a function when what is under way now is done.
    """

    def __init__(
        self,
        account: Account,
        put: Callable[[Update], None],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._account = account
        self._put = put
        self._soon = soon
        self._is_due = False
        self._lines: dict[str, dict[int | str, Message]] = {}
        self._removed: dict[str, list[str]] = {}
        self._missed: set[str] = set()
        self._edges: set[str] = set()
        self._members: set[str] = set()
        self._list_changed = False
        self.threads = Threads(account, put)

    # What has changed

    def lines(self, channel: Followed, lines: Iterable[Message], *, missed: bool = False) -> None:
        """Lines are new or changed; those that the screens do not hold do not matter.

        `missed`: they were read later than they happened.
        """
        if channel.shown_from is None:
            return
        lines = tuple(lines)
        if missed and lines:
            self._missed.add(channel.name)
        self.threads.lines(channel, lines)
        gathered = self._lines.setdefault(channel.name, {})
        for line in lines:
            if line.seq is None:
                gathered[line.cid or ""] = line
            elif line.seq >= channel.shown_from and channel.view.is_in_place(line.seq):
                gathered.pop(line.cid or "", None)
                gathered[line.seq] = line
        self._tell_soon()

    def tick(self, channel: Followed, line: Message) -> None:
        """A built-in channel has one more line, and the oldest may go."""
        gone = channel.keep_tick(line)
        self.lines(channel, [line])
        if channel.shown_from is not None:
            for cid in gone:
                self.removed(channel, cid)

    def line_at(self, channel: Followed, seq: int | None) -> None:
        """How a line is shown has changed: something on its way changes it."""
        line = channel.view.line(seq) if seq is not None else None
        if line is not None:
            self.lines(channel, [line])

    def removed(self, channel: Followed, cid: str) -> None:
        """A pending line is gone."""
        self._lines.get(channel.name, {}).pop(cid, None)
        self.threads.removed(channel, cid)
        self._removed.setdefault(channel.name, []).append(cid)
        self._tell_soon()

    def edges(self, channel: Followed) -> None:
        """Gaps may have changed, or a page that was asked for will not come."""
        if channel.shown_from is not None:
            channel.told = None
            self._edges.add(channel.name)
            self._tell_soon()

    def members(self, channel: Followed) -> None:
        """Members or their presence have changed."""
        if channel.shown_from is not None:
            self._members.add(channel.name)
            self._tell_soon()

    def typing(self, channel: Followed) -> None:
        """Who types has changed."""
        if channel.shown_from is not None:
            self._put(TypingChanged(channel.name, channel.typing))

    def channel_list(self) -> None:
        """A channel, its counts or its topic have changed."""
        self._list_changed = True
        self._tell_soon()

    # Whole views

    def open(self, channel: Followed) -> None:
        """Show the newest page of what is at hand, and what is on its way."""
        view = channel.view
        lines, lowest = self._account.lines_before(channel, view.position + 1, PAGE)
        channel.shown_from = max(1, lowest)
        rows = self._account.outbox.rows(channel.name)
        waiting = [self._account.outbox.line_of(row, view.me) for row in rows]
        self._forget(channel.name)
        channel.told = (self._gaps(channel), channel.is_complete)
        shown = [*lines, *channel.ticks, *(line for line in waiting if line is not None)]
        self._put(
            TimelineChanged(
                channel.name,
                upserts=tuple(self._decorated(shown)),
                reset=True,
                gap_before=channel.told[0],
                complete=channel.told[1],
            )
        )
        self._put(channel.members())
        self._put(TypingChanged(channel.name, channel.typing))
        self.threads.repaint(channel)

    def closed(self, name: str) -> None:
        """A channel is gone: nothing of it is shown any more."""
        self._forget(name)
        self._put(TimelineChanged(name, reset=True, gap_before=(), complete=False))
        self.channel_list()

    def everything(self) -> None:
        """Tell all there is anew."""
        for channel in self._account.channels.values():
            if channel.shown_from is not None:
                self.open(channel)
        self.channel_list()

    # Within

    def _forget(self, name: str) -> None:
        self._lines.pop(name, None)
        self._removed.pop(name, None)
        self._edges.discard(name)

    def _tell_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._soon(self.tell)

    def tell(self) -> None:
        """Hand over what has gathered."""
        self._is_due = False
        names = [*self._lines, *(name for name in self._removed if name not in self._lines)]
        for name in dict.fromkeys([*names, *self._edges]):
            if channel := self._account.channels.get(name):
                self._tell_timeline(channel)
        self.threads.tell()
        for name in self._members:
            if channel := self._account.channels.get(name):
                self._put(channel.members())
        self._lines.clear()
        self._removed.clear()
        self._missed.clear()
        self._edges.clear()
        self._members.clear()
        if self._list_changed:
            self._list_changed = False
            self._put(self._channels())

    def _tell_timeline(self, channel: Followed) -> None:
        gathered = self._lines.get(channel.name, {}).values()
        numbered = sorted((line for line in gathered if line.seq), key=lambda line: line.seq or 0)
        others = [line for line in gathered if not line.seq]
        edges = (self._gaps(channel), channel.is_complete)
        update = TimelineChanged(
            channel.name,
            upserts=tuple(self._decorated([*numbered, *others])),
            removed=tuple(self._removed.get(channel.name, ())),
            gap_before=None if edges == channel.told else edges[0],
            complete=None if edges == channel.told else edges[1],
            missed=bool(gathered) and channel.name in self._missed,
        )
        channel.told = edges
        if update != TimelineChanged(channel.name):
            self._put(update)

    def _decorated(self, lines: Iterable[Message]) -> list[Message]:
        outbox, me = self._account.outbox, self._account.me
        return [outbox.decorate(line, me) for line in lines]

    def _gaps(self, channel: Followed) -> tuple[int, ...]:
        if channel.shown_from is None:
            return ()
        return channel.view.coverage.gaps_from(channel.shown_from)

    def _channels(self) -> ChannelsChanged:
        account = self._account
        drafted = account.drafted()
        unsent = drafted.union(account.outbox.channels())
        if not account.has_signed_in:
            unsent.add(account.followed(GENERAL).name)  # to write in before a server is met
        mine = (c for c in account.channels.values() if c.is_member or c.name in unsent)
        shown = sorted(mine, key=lambda channel: channel.order)
        failed = account.outbox.failed()
        return ChannelsChanged(
            tuple(each.info(each.name in drafted, failed[each.name]) for each in shown)
        )
