"""Carry out what the interface asks for: on disk, and with the server while connected.

Everything here happens in one event loop, one thing after the other; nothing waits for the network
but tasks. What a person typed, moved or looks at goes through the account first, and works without
a connection; `Online` sends and reads what else there is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from chat.client.config.settings import ClientSettings
from chat.client.model.channel import Channel
from chat.client.model.preferences import Wish
from chat.client.model.records import DiskTrouble, OutboxRow
from chat.client.model.state import LAST_CHANNEL, Link, Message, Notice, Update
from chat.client.network.backoff import Backoff
from chat.client.network.errors import Offline
from chat.client.storage.account import Account
from chat.client.sync.local_state import LocalState
from chat.client.sync.publisher import PAGE, Publisher
from chat.client.sync.tasks import Tasks
from chat.errors import ChatError

if TYPE_CHECKING:
    from chat.client.sync.online import LiveSession, Online
    from chat.protocol.commands import AnsweredBy
    from chat.protocol.values import Status

__all__ = ["ABOVE", "Engine", "lines_down_to"]

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

FLUSH_DELAY = 0.2
"""Seconds from a change of the account, such as a draft, to its commit on disk."""
LOOK_EVERY = 1.0
"""Seconds between two looks at the file: what another client did, whether it can be written."""
FILE_RETRY = 2.0
"""Seconds until a write that failed is tried again."""
ABOVE = 50
"""Lines shown above the one that was asked for."""
NEAR = 8
"""Lines before and after one that are enough to find its neighbors among them."""
_AT_ONCE = 1_000


class Engine:
    """One account, kept connected.

    A channel that is not known is passed over: its screen is about to go.

    Args:
        settings: a name and an address among them.
        put: hands updates to the screens.
        backoff: how long to wait between attempts.

    Raises:
        StartupError: the account's file cannot be used.
    """

    def __init__(
        self,
        settings: ClientSettings,
        put: Callable[[Update], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._backoff = backoff
        self._put = put
        self._loop = asyncio.get_running_loop()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._online: Online | None = None
        self._when_idle: list[Callable[[], None]] = []
        self._tasks = Tasks(self._task_failed, self._task_ended)
        self._local = LocalState(settings, put, changed=self._flush_soon)

    @property
    def account(self) -> Account:
        """What is known on this computer."""
        return self._local.account

    @property
    def _screens(self) -> Publisher:
        return self._local.screens

    @property
    def _live(self) -> LiveSession | None:
        return self._online.live if self._online is not None else None

    # Life

    async def run(self, may_connect: asyncio.Event) -> None:
        """Connect once one may, and stay connected until cancelled.

        After an internal error the account goes on: what is typed waits in the outbox.
        """
        try:
            await may_connect.wait()
            from chat.client.sync.online import (
                Online,  # a fifth of a second: the first page goes first
            )

            self._online = Online(self._local, self._tasks, self._backoff)
            await self._online.connector.run()
        except Exception as exc:
            _log.exception("the client's core failed")
            self._put(Notice(f"The connection has stopped: internal error {exc!r}.", "error"))
            self._local.link_changed(
                Link.STOPPED,
                "internal error; restart the program. What you type is kept and sent then",
            )

    def close(self) -> None:
        """Write what is left, and close the file."""
        for timer in (self._flush_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        self.account.close()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the connection at the latest."""
        self._tasks.start(work)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once nothing waits for the server: no row of the outbox, and no question."""
        self._when_idle.append(then)
        self._task_ended()

    def _task_ended(self) -> None:
        if self._when_idle and not self._tasks.running and not self.account.outbox.waits:
            waiting, self._when_idle = self._when_idle, []
            for then in waiting:
                then()

    def _task_failed(self, exc: Exception) -> None:
        if isinstance(exc, Offline):
            return
        if not isinstance(exc, ChatError):
            self.fault(exc)
            exc = ChatError(repr(exc))
        if self._online is not None:
            self._online.connector.fault(exc)

    def fault(self, exc: Exception) -> None:
        """Tell of something that must not happen."""
        _log.error("a fault", exc_info=exc)
        self._put(Notice(f"internal error: {exc!r}", "error"))

    def begin(self) -> None:
        """Tell the screens what is on disk, with the channel that was shown last."""
        self._look_at_file()
        last = self.account.prefs.get(LAST_CHANNEL)
        self.repaint()
        if last in self.account.channels:
            self.open_channel(last)

    def repaint(self) -> None:
        """Tell the screens everything anew."""
        self._put(replace(self._local.connection, retry_in=None))
        self._local.tell_saved()
        self._screens.everything()
        self._screens.tell()

    def tell(self) -> None:
        """Let the screens have what has gathered."""
        self._screens.tell()

    # What a person types

    def write(self, row: OutboxRow) -> None:
        """Put something typed into the outbox, then send it."""
        try:
            self.account.outbox.add(row)
        except DiskTrouble as exc:
            row = self.account.outbox.hold(row, f"{exc}; retrying automatically")
        self._show_and_send(row)

    def retry(self, cid: str) -> None:
        """Send a refused row again."""
        try:
            row = self.account.outbox.retry(cid)
        except DiskTrouble as exc:
            self._put(Notice(str(exc), "error"))
            return
        if row is not None:
            self._changed(row)

    def _changed(self, row: OutboxRow) -> None:
        if self.account.outbox.line_of(row, self.account.me) is None:
            self._screens.removed(self.account.followed(row.channel), row.cid)
        self._show_and_send(row)

    def _show_and_send(self, row: OutboxRow) -> None:
        self._screens.row(row)
        self._send(row)

    def _send(self, row: OutboxRow) -> None:
        if self._live is not None:
            self._live.sender.send(row.channel)

    def discard(self, cid: str) -> None:
        """Throw away a row."""
        row = self.account.outbox.get(cid)
        if row is None:
            return
        try:
            self.account.discard(row)
        except DiskTrouble as exc:
            self._put(Notice(f"Cannot discard the message now: {exc}", "error"))
        else:
            self._screens.row_gone(row)

    def save_pref(self, key: str, value: str, number: int) -> None:
        """Keep something that the screens want to find again; `number` counts such saves."""
        self._local.saves = number
        self.account.set_pref(key, value)

    def save_draft(self, key: str, text: str, number: int) -> None:
        """Keep what is typed and not sent in a channel (`#a`) or a thread (`#a/7`).

        `number` counts such saves.
        """
        self._local.saves = number
        self.account.set_draft(key, text)
        self._screens.listing(key.partition("/")[0])

    # What a person looks at

    def open_channel(self, name: str) -> None:
        """Show a channel from the cache, and from now on what happens in it."""
        self._screens.open(self.account.followed(name))

    def load_before(self, name: str) -> None:
        """Show an older page: the cached one, or what the server has."""
        channel = self.account.channels.get(name)
        if channel is None or channel.shown_from is None or channel.is_loading:
            return
        lines, lowest = self.account.lines_before(channel, channel.shown_from, PAGE)
        if lowest < channel.shown_from:
            channel.shown_from = lowest
            self._screens.lines(channel, lines, missed=True)
        elif not channel.is_complete and self._live is not None and channel.view.epoch:
            self._live.following.load_before(channel, channel.shown_from)
            return
        self._screens.edges(channel)

    def load_gap(self, name: str, seq: int) -> None:
        """Show what is missing before `seq`."""
        channel = self.account.channels.get(name)
        if channel is not None and self._live is not None and channel.view.epoch:
            self._live.following.load_before(channel, seq)
        elif channel is not None:
            self._screens.edges(channel)

    async def reach(self, name: str, seq: int) -> bool:
        """Show a line, some above it and all that is known below; return whether it is there."""
        channel = self.account.channels.get(name)
        if channel is None:
            return False
        if channel.shown_from is None:
            self.open_channel(name)
        if channel.view.coverage.around(seq) is None and self._live and channel.view.epoch:
            await self._live.following.fetch(channel, seq)
        lines, channel.shown_from = lines_down_to(self.account, channel, seq)
        self._screens.lines(channel, lines, missed=True)
        self._screens.edges(channel)
        self._screens.tell()
        is_shown = seq >= channel.shown_from and channel.view.is_in_place(seq)
        return is_shown and channel.view.line(seq) is not None

    async def near(self, name: str, seq: int) -> list[Message]:
        """Find some lines before and after one, and itself, without showing them."""
        channel = self.account.channels.get(name)
        if channel is None:
            return []
        lines: list[Message] = []
        if span := channel.view.coverage.around(seq):
            before = min(seq + NEAR, span[1]) + 1
            lines, _ = self.account.lines_before(channel, before, 2 * NEAR)
        if not lines and self._live is not None:
            lines = await self._live.following.read_near(channel, seq, 2 * NEAR)
        return lines

    def open_thread(self, name: str, seq: int) -> None:
        """Show the thread of a message: what is at hand, then what the server has."""
        if channel := self.account.channels.get(name):
            self._screens.threads.open(channel, seq)
            self.load_thread()

    def load_thread(self) -> None:
        """Load an older page of the thread that is shown."""
        if self._live is not None and (shown := self._screens.threads.shown):
            self._live.following.load_thread(self.account.followed(shown[0]))

    def close_thread(self) -> None:
        """Show no thread any more."""
        self._screens.threads.close()

    def mark(self, name: str, seq: int) -> None:
        """Move the read marker; the server hears of it when it can."""
        channel = self.account.channels.get(name)
        if channel is None or min(seq, channel.view.position) <= channel.view.read:
            return
        self.account.mark(channel, min(seq, channel.view.position))
        self._screens.listing(name)
        if self._live is not None:
            self._live.following.marking.soon(channel)

    def prefer(self, name: str, wish: Wish) -> None:
        """Change how one wants a channel; the server hears of it when it can."""
        channel = self.account.channels.get(name)
        if channel is None or not channel.is_kept:
            return
        self.account.wish(channel, wish)
        self._screens.listing(name)
        if self._live is not None:
            self._live.following.preferring.soon(channel)

    # What needs a connection

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Ask the server; see `Online.ask`."""
        if self._online is None:
            raise Offline("not connected yet")
        return await self._online.ask(command)

    def set_status(self, status: Status) -> None:
        """Tell the server the person's status, now and after each reconnect."""
        self._local.status = status
        if self._online is not None:
            self._online.tell_status()

    def reconnect_now(self) -> None:
        """Try again at once."""
        if self._online is not None:
            self._online.connector.retry_now()

    async def rename(self, name: str) -> None:
        """Sign in with another name, in the place of one that belongs to somebody else.

        What was typed with the refused name is for the new one.

        Raises:
            ChatError: the name is not refused; the file of the other one cannot be opened.
        """
        taken = self._local.connection
        if self._online is None or not taken.is_name_taken:
            raise ChatError(f"cannot rename: the name {taken.user} is not taken")
        self._local.rename(name)
        self._online.renamed()

    # The file

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(FLUSH_DELAY, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        was_troubled = self.account.is_troubled
        self.account.flush()
        if self.account.is_troubled:
            self._flush_timer = self._loop.call_later(FILE_RETRY, self._flush)
        elif was_troubled:
            told = f"{self.account.path} is writable again; everything is saved."
            self._put(Notice(told, "warning"))
        self._show_begun_anew()
        self._channels_changed()

    def _show_begun_anew(self) -> None:
        """Show and read again the channels whose lines had to be forgotten."""
        names = self.account.take_begun_anew()
        if not names:
            return
        self._local.show(names & self._local.shown)
        thread = self._screens.threads.shown
        if thread is not None and thread[0] in names:
            self.open_thread(*thread)
        if self._online is not None:
            from chat.client.network.connection import ConnectionLost  # loaded by now

            self._online.connector.fault(ConnectionLost(None, "the local cache was rebuilt"))

    def _look_at_file(self) -> None:
        """Take up, from time to time, what another client did, and offer the disk what waits."""
        self._look_timer = self._loop.call_later(LOOK_EVERY, self._look_at_file)
        for row in self._local.offer_again():
            self._send(row)
        gone, changed, has_more = self.account.follow_others()
        for row in gone:
            self._screens.row_gone(row)
        for row in changed:
            self._changed(row)
        if has_more:
            self._local.tell_saved()
            self._screens.list_anew()
        self._channels_changed()

    def _channels_changed(self) -> None:
        """Show what another client changed of channels, and tell the server if it has not."""
        names = self.account.take_changed_elsewhere()
        for name in names:
            self._screens.listing(name)
        for channel in filter(None, map(self.account.channels.get, names)):
            if self._live is not None:
                self._live.following.preferring.soon(channel)
                self._live.following.marking.soon(channel)


def lines_down_to(account: Account, channel: Channel, seq: int) -> tuple[list[Message], int]:
    """Return what the screens do not hold yet, from some lines above `seq` on.

    Returns:
        The lines in order, and the lowest seq of what is known there; no lines and what is
        shown already if `seq` is shown, or is not at hand.
    """
    shown = channel.shown_from or channel.view.position + 1
    if seq >= shown or channel.view.coverage.around(seq) is None:
        return [], shown
    lines, lowest = account.lines_before(channel, seq + 1, ABOVE)
    found = {line.seq: line for line in lines}
    for first, last in channel.view.coverage.spans:
        before = min(last + 1, shown)
        while before > max(first, seq + 1):
            page, below = account.lines_before(channel, before, _AT_ONCE)
            found |= {line.seq: line for line in page if (line.seq or 0) > seq}
            before = below
    return [found[key] for key in sorted(found, key=lambda key: key or 0)], lowest
