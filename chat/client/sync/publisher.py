"""Publish updates to the interface, many changes at a time.

Updates are frozen values that hold frozen values: nothing in them is shared with the core.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chat.client.model.channel import Channel
from chat.client.model.records import OutboxRow
from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
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
from chat.text import GENERAL, fold

if TYPE_CHECKING:
    from chat.protocol.frames import Page

__all__ = ["PAGE", "WAITING_MAX", "Publisher", "ThreadPublisher", "UpdateQueue"]


_log = logging.getLogger(__name__)

WAITING_MAX = 5_000
"""Updates that wait for the interface at most."""


class UpdateQueue:
    """Updates that wait to be drained.

    A stopped terminal drains nothing for hours while the core goes on: beyond `most` updates
    everything waiting is dropped, and all that comes until `put_whole`. `drain` says so once.
    """

    def __init__(self, wake: Callable[[], None], most: int = WAITING_MAX) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[Update] = []
        self._room = most
        self._is_woken = False
        self._is_dropping = False
        self._has_dropped = False
        """Whether something was dropped, and `drain` has not said so."""

    def put(self, update: Update) -> None:
        """Add an update; wake the screens if they do not know yet that something waits."""
        with self._lock:
            if self._is_dropping:
                return
            if len(self._waiting) >= self._room:
                self._waiting.clear()
                self._is_dropping = self._has_dropped = True
            else:
                self._waiting.append(update)
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._wake()
        except Exception:  # the screens may be gone already; the core has work left
            _log.exception("waking the screens failed")

    def put_whole(self, tell: Callable[[], None]) -> None:
        """Let `tell` put everything that there is to show, however much it is."""
        with self._lock:
            self._is_dropping, self._room = False, sys.maxsize
        tell()
        with self._lock:
            self._room = len(self._waiting) + self._most

    def drain(self) -> tuple[list[Update], bool]:
        """Return what waits, oldest first, and whether something was dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_woken = False
            if self._room != sys.maxsize:
                self._room = self._most
            asks, self._has_dropped = self._has_dropped, False
            return waiting, asks


@dataclass(slots=True)
class _Changes:
    """Changes of one channel or thread that are not published yet."""

    lines: dict[int | str, Message] = field(default_factory=dict)
    """By number, or by cid where there is none."""
    removed: list[str] = field(default_factory=list)
    is_missed: bool = False
    has_edges: bool = False
    has_members: bool = False

    def put(self, line: Message) -> None:
        """Add a line that is new or changed."""
        if line.seq is not None:
            self.lines.pop(line.cid or "", None)
        self.lines[line.seq or line.cid or ""] = line

    def remove(self, cid: str) -> None:
        """Note that a pending line is gone."""
        self.lines.pop(cid, None)
        self.removed.append(cid)

    def in_order(self) -> list[Message]:
        """Return the lines by number; those without one come last, in the order of arrival."""
        return sorted(self.lines.values(), key=lambda line: (line.seq is None, line.seq or 0))


class ThreadPublisher:
    """Publishes the thread that is open, if any; `tell` hands over what has changed.

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
        self._changes = _Changes()

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
        self._changes = _Changes()
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
        self._changes = _Changes()

    def lines(self, channel: Channel, lines: Iterable[Message]) -> None:
        """Lines of a channel are new or changed."""
        if not self.shows(channel):
            return
        for line in lines:
            if self._holds(channel, line):
                self._changes.put(line)

    def removed(self, channel: Channel, cid: str) -> None:
        """A pending line is gone."""
        if self.shows(channel):
            self._changes.remove(cid)

    def tell(self) -> None:
        """Hand over what has gathered."""
        channel = self._account.channels.get(self._channel)
        changes, self._changes = self._changes, _Changes()
        if channel is not None and changes != _Changes():
            removed = tuple(changes.removed)
            self._tell(channel, TimelineChanged(channel.name, tuple(changes.in_order()), removed))

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
            self._changes.has_edges = True
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


PAGE = 100
"""Lines that a channel opens with, and that one more page has."""


class Publisher:
    """Gathers changes of an account, and publishes them once the event loop comes round.

    The first list of channels, and any that `list_anew` asks for, is whole; after it each channel
    that changes is published alone.

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
        self._changes: dict[str, _Changes] = {}
        self._edges: dict[str, tuple[tuple[int, ...], bool]] = {}
        """The gaps and the completeness of each channel as they were published."""
        self._relisted: set[str] = set()
        """Channels whose entry in the list may have changed."""
        self._listed: dict[str, ChannelInfo] | None = None
        """The list as it was published; None: it has to be published whole."""
        self.threads = ThreadPublisher(account, put)

    # What has changed

    def lines(self, channel: Channel, lines: Iterable[Message], *, missed: bool = False) -> None:
        """Lines are new or changed; those that the screens do not hold do not matter.

        `missed`: they were read later than they happened.
        """
        if channel.shown_from is None:
            return
        lines = tuple(lines)
        self.threads.lines(channel, lines)
        changes = self._changes_of(channel)
        changes.is_missed |= missed and bool(lines)
        for line in lines:
            if line.seq is None or (
                line.seq >= channel.shown_from and channel.view.is_in_place(line.seq)
            ):
                changes.put(line)

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
        self.listing(row.channel)

    def row_gone(self, row: OutboxRow) -> None:
        """A row of the outbox was discarded."""
        channel = self._account.followed(row.channel)
        self.removed(channel, row.cid)
        self.line_at(channel, self._account.outbox.target_of(row))
        self.listing(row.channel)

    def removed(self, channel: Channel, cid: str) -> None:
        """A pending line is gone."""
        self.threads.removed(channel, cid)
        self._changes_of(channel).remove(cid)

    def edges(self, channel: Channel) -> None:
        """Gaps may have changed, or a page that was asked for will not come."""
        if channel.shown_from is not None:
            self._edges.pop(channel.name, None)
            self._changes_of(channel)

    def members(self, channel: Channel) -> None:
        """Members or their presence have changed."""
        if channel.shown_from is not None:
            self._changes_of(channel).has_members = True

    def typing(self, channel: Channel) -> None:
        """Who types has changed."""
        if channel.shown_from is not None:
            self._put(TypingChanged(channel.name, channel.typing))

    def listing(self, name: str) -> None:
        """A channel, its counts, its topic, its drafts or its unsent messages have changed."""
        self._relisted.add(name)
        self._tell_soon()

    def list_anew(self) -> None:
        """Much of the list may have changed: publish all of it."""
        self._listed = None
        self._tell_soon()

    # Whole views

    def open(self, channel: Channel) -> None:
        """Show the newest page of what is at hand, and what is on its way."""
        view = channel.view
        lines, lowest = self._account.lines_before(channel, view.position + 1, PAGE)
        channel.shown_from = max(1, lowest)
        for line in lines:  # another client on this file may have sent it
            if fold(line.author) == fold(view.me):
                self._account.outbox.confirm(line.cid)
        rows = self._account.outbox.rows(channel.name)
        waiting = [self._account.outbox.line_of(row, view.me) for row in rows]
        self._changes.pop(channel.name, None)
        gaps, is_complete = self._edges[channel.name] = self._edges_of(channel)
        shown = [*lines, *channel.ticks, *(line for line in waiting if line is not None)]
        self._put(
            TimelineChanged(
                channel.name,
                upserts=tuple(self._decorated(shown)),
                reset=True,
                gap_before=gaps,
                complete=is_complete,
            )
        )
        self._put(channel.members())
        self._put(TypingChanged(channel.name, channel.typing))
        self.threads.repaint(channel)

    def closed(self, name: str) -> None:
        """A channel is gone: nothing of it is shown any more."""
        self._changes.pop(name, None)
        self._edges.pop(name, None)
        self._put(TimelineChanged(name, reset=True, gap_before=(), complete=False))
        self.listing(name)

    def everything(self) -> None:
        """Tell all there is anew."""
        for channel in self._account.channels.values():
            if channel.shown_from is not None:
                self.open(channel)
        self.list_anew()

    # Within

    def _changes_of(self, channel: Channel) -> _Changes:
        self._tell_soon()
        return self._changes.setdefault(channel.name, _Changes())

    def _tell_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._soon(self.tell)

    def tell(self) -> None:
        """Hand over what has gathered."""
        self._is_due = False
        changes, self._changes = self._changes, {}
        for name, changed in changes.items():
            if channel := self._account.channels.get(name):
                self._tell_timeline(channel, changed)
        self.threads.tell()
        for name, changed in changes.items():
            if changed.has_members and (channel := self._account.channels.get(name)):
                self._put(channel.members())
        self._tell_list()

    def _tell_timeline(self, channel: Channel, changes: _Changes) -> None:
        edges, known = self._edges_of(channel), self._edges.get(channel.name)
        update = TimelineChanged(
            channel.name,
            upserts=tuple(self._decorated(changes.in_order())),
            removed=tuple(changes.removed),
            gap_before=None if edges == known else edges[0],
            complete=None if edges == known else edges[1],
            missed=bool(changes.lines) and changes.is_missed,
        )
        self._edges[channel.name] = edges
        if update != TimelineChanged(channel.name):
            self._put(update)

    def _decorated(self, lines: Iterable[Message]) -> list[Message]:
        outbox, me = self._account.outbox, self._account.me
        return [outbox.decorate(line, me) for line in lines]

    def _edges_of(self, channel: Channel) -> tuple[tuple[int, ...], bool]:
        """Return the gaps in what is shown of a channel, and whether its first line is shown."""
        if channel.shown_from is None:
            return (), channel.is_complete
        return channel.view.coverage.gaps_from(channel.shown_from), channel.is_complete

    def _tell_list(self) -> None:
        account, relisted = self._account, self._relisted
        self._relisted = set()
        if not relisted and self._listed is not None:
            return
        drafted = account.drafted()
        unsent = drafted.union(account.outbox.channels())
        if not account.has_signed_in:
            unsent.add(account.followed(GENERAL).name)  # to write in before a server is met
        failed = account.outbox.failed()

        def info(channel: Channel | None) -> ChannelInfo | None:
            if channel is None or not (channel.is_member or channel.name in unsent):
                return None
            return channel.info(channel.name in drafted, failed[channel.name])

        if self._listed is None:
            infos = filter(None, map(info, account.channels.values()))
            self._listed = {each.name: each for each in infos}
            self._put(ChannelsChanged(tuple(self._listed.values())))
            return
        for name in relisted:
            found = info(account.channels.get(name))
            if found is not None and found != self._listed.get(name):
                self._listed[name] = found
                self._put(ChannelChanged(found))
            elif found is None and self._listed.pop(name, None) is not None:
                self._put(ChannelRemoved(name))
