"""Publish updates to the interface, many changes at a time.

Updates are frozen values that contain frozen values: nothing in them is shared with the core.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chat.client.model.channel import Channel
from chat.client.model.membership import Invitation
from chat.client.model.records import OutboxRow
from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    IgnoredChanged,
    InvitationsChanged,
    Message,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
    Update,
)
from chat.client.storage.account import Account
from chat.text import GENERAL, fold

if TYPE_CHECKING:
    from chat.protocol.frames import Page

__all__ = ["PAGE", "WAITING_MAX", "Publisher", "ThreadPublisher", "UpdateQueue"]


_log = logging.getLogger(__name__)

WAITING_MAX = 5_000
"""Maximum number of updates that wait for the interface."""


class UpdateQueue:
    """Updates that wait to be drained.

    A suspended terminal drains nothing for hours while the core goes on. Beyond `most` updates, all
    waiting and further updates are dropped until `put_all`; `drain` reports that once.
    """

    def __init__(self, wake: Callable[[], None], most: int = WAITING_MAX) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[Update] = []
        self._limit = most
        self._is_woken = False
        self._is_dropping = False
        self._has_dropped = False
        """Whether updates were dropped and `drain` has not reported it."""

    def put(self, update: Update) -> None:
        """Add an update; wake the screens unless they were woken already."""
        with self._lock:
            if self._is_dropping:
                return
            if len(self._waiting) >= self._limit:
                self._waiting.clear()
                self._is_dropping = self._has_dropped = True
            else:
                self._waiting.append(update)
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._wake()
        except Exception:  # the screens may be closed already; the core must go on
            _log.exception("cannot notify the screens of a change")

    def put_all(self, publish: Callable[[], None]) -> None:
        """Accept updates again; `publish` puts the whole state, without a limit."""
        with self._lock:
            self._is_dropping, self._limit = False, sys.maxsize
        publish()
        with self._lock:
            self._limit = len(self._waiting) + self._most

    def drain(self) -> tuple[list[Update], bool]:
        """Return the waiting updates, oldest first, and whether some were dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_woken = False
            if self._limit != sys.maxsize:
                self._limit = self._most
            asks, self._has_dropped = self._has_dropped, False
            return waiting, asks


@dataclass(slots=True)
class _Changes:
    """Unpublished changes of one channel or thread."""

    lines: dict[int | str, Message] = field(default_factory=dict)
    """By seq, or by cid without one."""
    replies: dict[int, Message] = field(default_factory=dict)
    """Replies that are only in their threads, by seq."""
    removed: list[str] = field(default_factory=list)
    expired: int = 0
    is_missed: bool = False
    has_edges: bool = False
    has_members: bool = False

    def put(self, line: Message) -> None:
        """Add a new or changed line."""
        if line.seq is not None:
            self.lines.pop(line.cid or "", None)
        self.lines[line.seq or line.cid or ""] = line

    def remove(self, cid: str) -> None:
        """Remove a pending line."""
        self.lines.pop(cid, None)
        self.removed.append(cid)

    def in_order(self) -> list[Message]:
        """Return the lines by seq; those without one come last, in order of arrival."""
        return sorted(self.lines.values(), key=lambda line: (line.seq is None, line.seq or 0))


class ThreadPublisher:
    """Publishes the open thread, if there is one.

    Args:
        account: the account.
        put: passes an update on.
    """

    def __init__(self, account: Account, put: Callable[[Update], None]) -> None:
        self._account = account
        self._put = put
        self._channel = ""
        self._asked = self._root = 0
        self._whole_from: int | None = None
        """The lowest seq from which on nothing is missing; None: unknown."""
        self._is_loading = False
        self._changes = _Changes()

    @property
    def shown(self) -> tuple[str, int] | None:
        """The channel of the open thread, and the message that it was opened from."""
        return (self._channel, self._asked) if self._channel else None

    def shows(self, channel: Channel) -> bool:
        """Whether the open thread belongs to this channel."""
        return channel.name == self._channel

    # Changes

    def open(self, channel: Channel, seq: int) -> None:
        """Show the cached thread of the message `seq`."""
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
        unsent = (row.line(view.me) for row in self._account.outbox.rows(channel.name))
        lines = self._account.thread(channel, self._root)
        lines += [line for line in unsent if line is not None and self._holds(channel, line)]
        self._publish(channel, TimelineChanged(channel.name, tuple(lines), reset=True))

    def repaint(self, channel: Channel) -> None:
        """Publish the whole thread again if it belongs to this channel."""
        if self.shows(channel):
            self._open(channel, self._root)

    def close(self) -> None:
        """Close the thread."""
        self._channel = ""
        self._changes = _Changes()

    def lines_changed(self, channel: Channel, lines: Iterable[Message]) -> None:
        """Collect new or changed lines of a channel."""
        if not self.shows(channel):
            return
        for line in lines:
            if self._holds(channel, line):
                self._changes.put(line)

    def line_removed(self, channel: Channel, cid: str) -> None:
        """Collect the removal of a pending line."""
        if self.shows(channel):
            self._changes.remove(cid)

    def expired(self, channel: Channel, up_to: int) -> None:
        """Collect that all texts up to `up_to` were erased."""
        if self.shows(channel):
            self._changes.expired = max(self._changes.expired, up_to)

    def flush(self) -> None:
        """Publish the collected changes."""
        channel = self._account.channels.get(self._channel)
        changes, self._changes = self._changes, _Changes()
        if channel is not None and changes != _Changes():
            update = TimelineChanged(
                channel.name,
                tuple(changes.in_order()),
                tuple(changes.removed),
                expired=changes.expired,
            )
            self._publish(channel, update)

    # Loading from the server

    def wants(self, channel: Channel) -> bool:
        """Whether the server may have missing parts of the thread."""
        return self.shows(channel) and not self._is_loading and self._whole_from != self._root

    def page_requested(self) -> tuple[int, int | None]:
        """Return the root of the thread, and the seq to read before: None for its newest page."""
        self._is_loading = True
        return self._root, self._whole_from

    def page_received(self) -> None:
        """Publish the loaded page, or that none came."""
        self._is_loading = False
        self._changes.has_edges = True
        self.flush()

    def apply(self, channel: Channel, root: int, page: Page) -> None:
        """Collect a page, if the thread of `root` is still open."""
        if not self.shows(channel) or self._root != root:
            return
        lines = channel.view.apply_thread(page)
        true_root = next((item.thread for item in page.items if item.thread), root)
        if true_root != root:  # `root` was an uncached reply
            self._open(channel, true_root)
        if page.items:
            self._whole_from = true_root if page.complete else page.items[0].seq
        self.lines_changed(channel, lines)

    def missing(self, channel: Channel, root: int) -> None:
        """Publish that the server has no such thread, and close it."""
        nothing = TimelineChanged(channel.name)
        self._put(ThreadChanged(channel.name, self._asked, root, nothing, is_missing=True))
        self.close()

    # Within

    def _holds(self, channel: Channel, line: Message) -> bool:
        if self._root in (line.seq, line.thread, line.reply_to):
            return True
        if line.reply_to is None or line.thread is not None:
            return False
        answered = channel.view.line(line.reply_to)
        return answered is not None and answered.thread == self._root

    def _publish(self, channel: Channel, change: TimelineChanged) -> None:
        outbox, me = self._account.outbox, self._account.me
        has_root = channel.view.line(self._root) is not None
        is_torn = has_root and self._whole_from not in (None, self._root)
        update = TimelineChanged(
            change.channel,
            upserts=tuple(outbox.decorate(line, me) for line in change.upserts),
            removed=change.removed,
            reset=change.reset,
            gap_before=(self._whole_from,) if is_torn and self._whole_from else (),
            complete=has_root,
            expired=change.expired,
        )
        self._put(ThreadChanged(channel.name, self._asked, self._root, update))


PAGE = 100
"""Lines of a page."""


class Publisher:
    """Collected changes of an account, published once per turn of the event loop.

    The first list of channels, and every list after `publish_list`, is complete; after that, each
    changed channel is published alone.

    Args:
        account: the account.
        put: passes an update on.
        soon: calls a function in the next turn of the event loop.
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
        """The published gaps and completeness of each channel."""
        self._relisted: set[str] = set()
        """Channels whose entry in the list may have changed."""
        self._listed: dict[str, ChannelInfo] | None = None
        """The published list; None: it must be published completely."""
        self.threads = ThreadPublisher(account, put)

    # Changes

    def lines_changed(
        self, channel: Channel, lines: Iterable[Message], *, missed: bool = False
    ) -> None:
        """Collect new or changed lines; lines that the screens do not hold are not published.

        A message of the user leaves the pending lines in any case. Replies that are only in their
        threads are published apart. `missed`: the lines were read after they happened.
        """
        if channel.shown_from is None:
            return
        lines = tuple(lines)
        self.threads.lines_changed(channel, lines)
        changes = self._changes_of(channel)
        changes.is_missed |= missed and bool(lines)
        for line in lines:
            is_held = line.seq is None or (
                line.seq >= channel.shown_from and channel.view.is_contiguous(line.seq)
            )
            if line.is_in_channel and is_held:
                changes.put(line)
            elif line.cid is not None:
                changes.remove(line.cid)  # it may have been shown as pending or rejected
            if not line.is_in_channel and line.seq is not None:
                changes.replies[line.seq] = line

    def expired(self, channel: Channel, up_to: int) -> None:
        """Collect that all texts of a channel up to `up_to` were erased."""
        if up_to and channel.shown_from is not None:
            changes = self._changes_of(channel)
            changes.expired = max(changes.expired, up_to)
            self.threads.expired(channel, up_to)

    def tick(self, channel: Channel, line: Message) -> None:
        """Add a line to a built-in channel; the oldest lines may be dropped."""
        gone = channel.add_tick(line)
        self.lines_changed(channel, [line])
        if channel.shown_from is not None:
            for cid in gone:
                self.line_removed(channel, cid)

    def line_changed(self, channel: Channel, seq: int | None) -> None:
        """Collect a line whose pending changes are different now."""
        line = channel.view.line(seq) if seq is not None else None
        if line is not None:
            self.lines_changed(channel, [line])

    def row_changed(self, row: OutboxRow) -> None:
        """Collect a new or changed row of the outbox."""
        channel = self._account.ensure_channel(row.channel)
        if line := row.line(self._account.me):
            self.lines_changed(channel, [line])
        self.line_changed(channel, row.target)
        self.channel_changed(row.channel)

    def row_removed(self, row: OutboxRow) -> None:
        """Collect the removal of a row of the outbox."""
        channel = self._account.ensure_channel(row.channel)
        self.line_removed(channel, row.cid)
        self.line_changed(channel, row.target)
        self.channel_changed(row.channel)

    def line_removed(self, channel: Channel, cid: str) -> None:
        """Collect the removal of a pending line."""
        self.threads.line_removed(channel, cid)
        self._changes_of(channel).remove(cid)

    def edges_changed(self, channel: Channel) -> None:
        """Publish a channel's gaps again: they may have changed, or a page could not be loaded."""
        if channel.shown_from is not None:
            self._edges.pop(channel.name, None)
            self._changes_of(channel)

    def members_changed(self, channel: Channel) -> None:
        """Collect a change of the member list."""
        if channel.shown_from is not None:
            self._changes_of(channel).has_members = True

    def typing_changed(self, channel: Channel) -> None:
        """Publish the users who are typing."""
        if channel.shown_from is not None:
            self._put(TypingChanged(channel.name, channel.typing))

    def channel_changed(self, name: str) -> None:
        """Collect a change of a channel's entry in the list."""
        self._relisted.add(name)
        self._flush_soon()

    def invitations_changed(self, new: Invitation | None = None) -> None:
        """Publish the open invitations; `new` has just arrived."""
        self._put(InvitationsChanged(tuple(self._account.invitations.values()), new))

    def ignored_changed(self) -> None:
        """Publish whom the user ignores."""
        self._put(IgnoredChanged(self._account.ignored))

    def publish_list(self) -> None:
        """Publish the complete list."""
        self._listed = None
        self._flush_soon()

    # Whole views

    def open(self, channel: Channel) -> None:
        """Publish the newest cached page of a channel, with its pending messages."""
        view = channel.view
        lines, lowest = self._account.lines_before(channel, view.position + 1, PAGE)
        channel.shown_from = max(1, lowest)
        for line in lines:  # may have been sent by another client on this file
            if fold(line.author) == fold(view.me):
                self._account.outbox.confirm(line.cid)
        rows = self._account.outbox.rows(channel.name)
        waiting = [row.line(view.me) for row in rows]
        self._changes.pop(channel.name, None)
        gaps, is_complete = self._edges[channel.name] = self._edges_of(channel)
        unsent = (line for line in waiting if line is not None and line.is_in_channel)
        shown = [*lines, *channel.ticks, *unsent]
        self._put(
            TimelineChanged(
                channel.name,
                upserts=tuple(self._decorated(shown)),
                reset=True,
                gap_before=gaps,
                complete=is_complete,
                replies=tuple(self._account.thread_only(channel, view.position + 1, lowest)),
            )
        )
        self._put(channel.members())
        self._put(TypingChanged(channel.name, channel.typing))
        self.threads.repaint(channel)

    def channel_removed(self, name: str) -> None:
        """Publish that a channel is gone, with its lines."""
        self._changes.pop(name, None)
        self._edges.pop(name, None)
        self._put(TimelineChanged(name, reset=True, gap_before=(), complete=False))
        self.channel_changed(name)

    def publish_all(self) -> None:
        """Publish all shown channels and the list again."""
        for channel in self._account.channels.values():
            if channel.shown_from is not None:
                self.open(channel)
        self.publish_list()
        self.ignored_changed()
        self.invitations_changed()

    # Within

    def _changes_of(self, channel: Channel) -> _Changes:
        self._flush_soon()
        return self._changes.setdefault(channel.name, _Changes())

    def _flush_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._soon(self.flush)

    def flush(self) -> None:
        """Publish the collected changes."""
        self._is_due = False
        changes, self._changes = self._changes, {}
        for name, changed in changes.items():
            if channel := self._account.channels.get(name):
                self._publish_timeline(channel, changed)
        self.threads.flush()
        for name, changed in changes.items():
            if changed.has_members and (channel := self._account.channels.get(name)):
                self._put(channel.members())
        self._publish_list()

    def _publish_timeline(self, channel: Channel, changes: _Changes) -> None:
        edges, known = self._edges_of(channel), self._edges.get(channel.name)
        update = TimelineChanged(
            channel.name,
            upserts=tuple(self._decorated(changes.in_order())),
            removed=tuple(changes.removed),
            gap_before=None if edges == known else edges[0],
            complete=None if edges == known else edges[1],
            missed=bool(changes.lines) and changes.is_missed,
            replies=tuple(changes.replies.values()),
            waiting=frozenset(filter(channel.view.is_waiting, changes.replies)),
            expired=changes.expired,
        )
        self._edges[channel.name] = edges
        if update != TimelineChanged(channel.name):
            self._put(update)

    def _decorated(self, lines: Iterable[Message]) -> list[Message]:
        outbox, me = self._account.outbox, self._account.me
        return [outbox.decorate(line, me) for line in lines]

    def _edges_of(self, channel: Channel) -> tuple[tuple[int, ...], bool]:
        """Return the gaps in the shown part of a channel, and whether its first line is shown."""
        if channel.shown_from is None:
            return (), channel.is_complete
        return channel.view.coverage.gaps_from(channel.shown_from), channel.is_complete

    def _publish_list(self) -> None:
        account, relisted = self._account, self._relisted
        self._relisted = set()
        if not relisted and self._listed is not None:
            return
        drafted = account.outbox.drafted()
        unsent = drafted.union(account.outbox.channels())
        if not account.has_signed_in:
            unsent.add(
                account.ensure_channel(GENERAL).name
            )  # so that the user can write before the first connection
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
