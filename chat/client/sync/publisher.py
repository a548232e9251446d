"""Publish updates to the interface, many changes at a time.

What it holds comes the way of all lines: what is said live, and what the server is asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from chat.client.model.channel import Channel
from chat.client.model.records import OutboxRow
from chat.client.model.state import (
    ChannelsChanged,
    Message,
    Notice,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
    Update,
)
from chat.client.storage.account import Account
from chat.errors import CommandError, ErrorCode
from chat.text import GENERAL

if TYPE_CHECKING:
    from chat.protocol.frames import Page

__all__ = ["PAGE", "Publisher", "ThreadPublisher", "UpdateQueue"]


_log = logging.getLogger(__name__)

WAITING_MAX = 5_000


class UpdateQueue:
    """Updates that wait to be drained.

    A stopped terminal drains nothing for hours while the core goes on: beyond `WAITING_MAX`
    everything waiting is dropped, and `drain` says that all must be told anew.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Update] = []
        self._is_told = False
        self._has_overflowed = False

    def put(self, update: Update) -> None:
        """Add an update; wake the screens if they do not know yet that something waits."""
        with self._lock:
            if self._has_overflowed:
                return
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.clear()
                self._has_overflowed = True
            else:
                self._waiting.append(update)
            if self._is_told:
                return
            self._is_told = True
        try:
            self._wake()
        except Exception:  # the screens may be gone already; the core has work left
            _log.exception("waking the screens failed")

    def drain(self) -> tuple[list[Update], bool]:
        """Return what waits, oldest first, and whether something was dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            overflowed, self._has_overflowed = self._has_overflowed, False
            self._is_told = False
            return waiting, overflowed


class ThreadPublisher:
    """Gathers what changes in one thread at most; `tell` hands it over.

    Args:
        account: what is known.
        put: hands an update over.
    """

    def __init__(self, account: Account, put: Callable[[Update], None]) -> None:
        self._account = account
        self._put = put
        self._channel = ""
        self._asked = self._root = 0
        self._whole_from: int | None = None
        """The lowest number from which on nothing is missing; None: that is not known."""
        self._is_loading = False
        self._lines: dict[int | str, Message] = {}
        self._removed: list[str] = []
        self._is_edge_due = False

    @property
    def shown(self) -> tuple[str, int] | None:
        """The channel of the thread that is shown, and the message by which it was asked for."""
        return (self._channel, self._asked) if self._channel else None

    def shows(self, channel: Channel) -> bool:
        """Whether the thread is one of this channel."""
        return channel.name == self._channel

    # What has changed

    def open(self, channel: Channel, seq: int) -> None:
        """Show the thread of the message `seq`, as far as it is at hand."""
        self._asked = seq
        self._open(channel, seq)

    def _open(self, channel: Channel, seq: int) -> None:
        view = channel.view
        line = view.line(seq)
        self._channel, self._root = channel.name, (line and line.thread) or seq
        self._whole_from = None
        self._forget()
        span = view.coverage.around(self._root)
        if span is not None and span[1] >= view.position:
            self._whole_from = self._root
        unsent = (
            self._account.outbox.line_of(row, view.me)
            for row in self._account.outbox.rows(channel.name)
        )
        lines = self._account.thread(channel, self._root)
        lines += [line for line in unsent if line is not None and self._holds(channel, line)]
        self._tell(channel, TimelineChanged(channel.name, tuple(lines), reset=True))

    def repaint(self, channel: Channel) -> None:
        """Show the thread anew if it is one of this channel."""
        if self.shows(channel):
            self._open(channel, self._root)

    def close(self) -> None:
        """Show no thread any more."""
        self._channel = ""
        self._forget()

    def lines(self, channel: Channel, lines: Iterable[Message]) -> None:
        """Lines of a channel are new or changed."""
        if not self.shows(channel):
            return
        for line in lines:
            if self._holds(channel, line):
                if line.seq is not None:
                    self._lines.pop(line.cid or "", None)
                self._lines[line.seq or line.cid or ""] = line

    def removed(self, channel: Channel, cid: str) -> None:
        """A pending line is gone."""
        if self.shows(channel):
            self._lines.pop(cid, None)
            self._removed.append(cid)

    def tell(self) -> None:
        """Hand over what has gathered."""
        channel = self._account.channels.get(self._channel)
        if channel is None or not (self._lines or self._removed or self._is_edge_due):
            return
        numbered = sorted(
            (line for line in self._lines.values() if line.seq), key=lambda line: line.seq or 0
        )
        others = [line for line in self._lines.values() if not line.seq]
        removed = tuple(self._removed)
        self._forget()
        self._tell(channel, TimelineChanged(channel.name, (*numbered, *others), removed))

    # What the server has

    def wants(self, channel: Channel) -> bool:
        """Whether something of the thread is missing that the server may have."""
        return self.shows(channel) and not self._is_loading and self._whole_from != self._root

    async def load(
        self, channel: Channel, read: Callable[[int, int | None], Awaitable[Page]]
    ) -> None:
        """Read the newest page of the thread, or the one before what is whole.

        Args:
            channel: whose thread is shown.
            read: asks for a page of the thread with a root, before a number if one is given.
        """
        view, root, before = channel.view, self._root, self._whole_from
        self._is_loading = True
        view.asked()
        try:
            page = await read(root, before)
            if page.epoch == view.epoch and (self._channel, self._root) == (channel.name, root):
                self._loaded(channel, page)
                self._account.touch(channel)
        except CommandError as error:
            self._put(Notice(f"cannot load the thread: {error.message}", "warning"))
            if error.code == ErrorCode.NO_SUCH_MESSAGE:
                nothing = TimelineChanged(channel.name)
                self._put(ThreadChanged(channel.name, self._asked, root, nothing, is_none=True))
                self.close()
        finally:
            view.answered()
            self._is_loading = False
            self._is_edge_due = True
            self.tell()

    def _loaded(self, channel: Channel, page: Page) -> None:
        lines = channel.view.apply_thread(page)
        root = next((item.thread for item in page.items if item.thread), self._root)
        if root != self._root:  # it was named by a reply that nobody here knew
            self._open(channel, root)
        if page.items:
            self._whole_from = root if page.complete else page.items[0].seq
        self.lines(channel, lines)

    # Within

    def _holds(self, channel: Channel, line: Message) -> bool:
        if self._root in (line.seq, line.thread, line.reply_to):
            return True
        if line.reply_to is None or line.thread is not None:
            return False
        answered = channel.view.line(line.reply_to)
        return answered is not None and answered.thread == self._root

    def _tell(self, channel: Channel, change: TimelineChanged) -> None:
        outbox, me = self._account.outbox, self._account.me
        has_root = channel.view.line(self._root) is not None
        is_torn = has_root and self._whole_from not in (None, self._root)
        told = TimelineChanged(
            change.channel,
            upserts=tuple(outbox.decorate(line, me) for line in change.upserts),
            removed=change.removed,
            reset=change.reset,
            gap_before=(self._whole_from,) if is_torn and self._whole_from else (),
            complete=has_root,
        )
        self._put(ThreadChanged(channel.name, self._asked, self._root, told))

    def _forget(self) -> None:
        self._lines.clear()
        self._removed.clear()
        self._is_edge_due = False


PAGE = 100
"""Lines that a channel opens with, and that one more page has."""


class Publisher:
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
        self.threads = ThreadPublisher(account, put)

    # What has changed

    def lines(self, channel: Channel, lines: Iterable[Message], *, missed: bool = False) -> None:
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

    def tick(self, channel: Channel, line: Message) -> None:
        """A built-in channel has one more line, and the oldest may go."""
        gone = channel.keep_tick(line)
        self.lines(channel, [line])
        if channel.shown_from is not None:
            for cid in gone:
                self.removed(channel, cid)

    def line_at(self, channel: Channel, seq: int | None) -> None:
        """How a line is shown has changed: something on its way changes it."""
        line = channel.view.line(seq) if seq is not None else None
        if line is not None:
            self.lines(channel, [line])

    def row(self, row: OutboxRow) -> None:
        """A row of the outbox is new or changed."""
        channel, outbox = self._account.followed(row.channel), self._account.outbox
        if line := outbox.line_of(row, self._account.me):
            self.lines(channel, [line])
        self.line_at(channel, outbox.target_of(row))

    def row_gone(self, row: OutboxRow) -> None:
        """A row of the outbox was discarded."""
        channel = self._account.followed(row.channel)
        self.removed(channel, row.cid)
        self.line_at(channel, self._account.outbox.target_of(row))
        self.channel_list()

    def removed(self, channel: Channel, cid: str) -> None:
        """A pending line is gone."""
        self._lines.get(channel.name, {}).pop(cid, None)
        self.threads.removed(channel, cid)
        self._removed.setdefault(channel.name, []).append(cid)
        self._tell_soon()

    def edges(self, channel: Channel) -> None:
        """Gaps may have changed, or a page that was asked for will not come."""
        if channel.shown_from is not None:
            channel.told = None
            self._edges.add(channel.name)
            self._tell_soon()

    def members(self, channel: Channel) -> None:
        """Members or their presence have changed."""
        if channel.shown_from is not None:
            self._members.add(channel.name)
            self._tell_soon()

    def typing(self, channel: Channel) -> None:
        """Who types has changed."""
        if channel.shown_from is not None:
            self._put(TypingChanged(channel.name, channel.typing))

    def channel_list(self) -> None:
        """A channel, its counts or its topic have changed."""
        self._list_changed = True
        self._tell_soon()

    # Whole views

    def open(self, channel: Channel) -> None:
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

    def _tell_timeline(self, channel: Channel) -> None:
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

    def _gaps(self, channel: Channel) -> tuple[int, ...]:
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
