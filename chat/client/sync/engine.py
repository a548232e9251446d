"""Run the interface's requests: on disk, and on the server while connected.

Everything runs in one event loop, and only tasks wait for the network. Everything that the user
types, moves or opens goes through the account first, and works offline; `Online` does the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from chat.client.config.settings import ClientSettings
from chat.client.model.channel import Channel
from chat.client.model.preferences import PreferenceChange
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import LAST_CHANNEL, Link, Message, Notice, Update
from chat.client.network.backoff import Backoff
from chat.client.network.errors import Offline
from chat.client.storage.account import Account
from chat.client.sync.local_state import LocalState
from chat.client.sync.publisher import PAGE, Publisher
from chat.client.sync.sender import Sender
from chat.client.sync.tasks import Tasks
from chat.errors import ChatError
from chat.text import fold

if TYPE_CHECKING:
    from chat.client.sync.online import LiveSession, Online
    from chat.protocol.values import Status

__all__ = ["ABOVE", "Engine", "lines_down_to"]

_log = logging.getLogger(__name__)

FLUSH_DELAY = 0.2
"""Seconds from a change of the account, such as a draft, to its commit on disk."""
LOOK_EVERY = 1.0
"""Seconds between two checks of the files for changes by other clients and for writability."""
FILE_RETRY = 2.0
"""Seconds until a failed write is retried."""
ABOVE = 50
"""Lines to show above the requested one."""
NEAR = 8
"""Lines to return before and after the requested one."""
_AT_ONCE = 1_000


class Engine:
    """One account and its connection.

    Requests for unknown channels are ignored: their screen is about to close.

    Args:
        settings: with a name and an address.
        put: passes updates to the screens.
        backoff: delays between attempts to connect.

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
        self.tasks = Tasks(self._task_failed, self._task_ended)
        """Requests; they end with the connection at the latest."""
        self._local = LocalState(settings, put, changed=self._flush_soon)
        self.sender = Sender(self._local, self.tasks)

    @property
    def account(self) -> Account:
        """The open account."""
        return self._local.account

    @property
    def publisher(self) -> Publisher:
        """The publisher of the open account."""
        return self._local.publisher

    @property
    def online(self) -> Online:
        """The connection.

        Raises:
            Offline: the first page is not shown yet, so connecting has not begun.
        """
        if self._online is None:
            raise Offline("not connected yet")
        return self._online

    @property
    def _live(self) -> LiveSession | None:
        return self._online.live if self._online is not None else None

    # Lifecycle

    async def run(self, may_connect: asyncio.Event) -> None:
        """Connect once `may_connect` is set, and stay connected until cancelled.

        After an internal error the account stays usable: messages wait in the outbox.
        """
        try:
            await may_connect.wait()
            from chat.client.sync.online import (
                Online,  # lazy: takes 0.2 s, and the first page does not need it
            )

            self._online = Online(self._local, self.sender, self.tasks, self._backoff)
            await self._online.connector.run()
        except Exception as exc:
            _log.exception("the client's core failed")
            self._put(Notice(f"The connection has stopped: internal error {exc!r}.", "error"))
            self._local.link_changed(
                Link.STOPPED,
                "internal error; restart the program. Unsent messages are kept and sent then",
            )

    def close(self) -> None:
        """Flush, and close the account."""
        for timer in (self._flush_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        self.account.close()

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once the outbox has no pending row and no request is running."""
        self._when_idle.append(then)
        self._task_ended()

    def _task_ended(self) -> None:
        if self._when_idle and not self.tasks.running and not self.account.outbox.has_pending:
            waiting, self._when_idle = self._when_idle, []
            for then in waiting:
                then()

    def _task_failed(self, exc: Exception) -> None:
        if isinstance(exc, Offline):
            return
        if not isinstance(exc, ChatError):
            self.report_error(exc)
            exc = ChatError(repr(exc))
        if self._online is not None:
            self._online.connector.fail(exc)

    def report_error(self, exc: Exception) -> None:
        """Log an internal error, and show it to the user."""
        _log.error("internal error", exc_info=exc)
        self._put(Notice(f"internal error: {exc!r}", "error"))

    def begin(self) -> None:
        """Publish the stored state, with the last channel."""
        self._look_at_file()
        last = self.account.outbox.prefs.get(LAST_CHANNEL)
        self.repaint()
        if last in self.account.channels:
            self.open_channel(last)

    def repaint(self) -> None:
        """Publish the whole state again."""
        self._put(replace(self._local.connection, retry_in=None))
        self._local.publish_saved()
        self.publisher.publish_all()
        self.publisher.flush()

    # Drafts and preferences

    def save_pref(self, key: str, value: str, number: int) -> None:
        """Store a preference of the interface; `number` counts the saves."""
        self._local.saves = number
        self.account.set_pref(key, value)

    def save_draft(self, key: str, text: str, number: int) -> None:
        """Store the draft of a channel (`#a`) or a thread (`#a/7`); `number` counts the saves."""
        self._local.saves = number
        self.account.set_draft(key, text)
        self.publisher.channel_changed(key.partition("/")[0])

    # Views

    def open_channel(self, name: str) -> None:
        """Show a channel from the cache, and publish its changes from now on."""
        self.publisher.open(self.account.ensure_channel(name))

    def load_before(self, name: str) -> None:
        """Show an older page, from the cache or from the server."""
        channel = self.account.channels.get(name)
        if channel is None or channel.shown_from is None or channel.is_loading:
            return
        lines, lowest = self.account.lines_before(channel, channel.shown_from, PAGE)
        if lowest < channel.shown_from:
            replies = self.account.thread_only(channel, channel.shown_from, lowest)
            channel.shown_from = lowest
            self.publisher.lines_changed(channel, [*lines, *replies], missed=True)
        elif not channel.is_complete and self._live is not None and channel.view.epoch:
            self._live.channel_sync.load_before(channel, channel.shown_from)
            return
        self.publisher.edges_changed(channel)

    def load_gap(self, name: str, seq: int) -> None:
        """Load the missing lines before `seq`."""
        channel = self.account.channels.get(name)
        if channel is not None and self._live is not None and channel.view.epoch:
            self._live.channel_sync.load_before(channel, seq)
        elif channel is not None:
            self.publisher.edges_changed(channel)

    async def reach(self, name: str, seq: int) -> bool:
        """Show a line with some above it and all known ones below; return whether it exists."""
        channel = self.account.channels.get(name)
        if channel is None:
            return False
        if channel.shown_from is None:
            self.open_channel(name)
        if channel.view.coverage.around(seq) is None and self._live and channel.view.epoch:
            await self._live.channel_sync.fetch(channel, seq)
        lines, channel.shown_from = lines_down_to(self.account, channel, seq)
        self.publisher.lines_changed(channel, lines, missed=True)
        self.publisher.edges_changed(channel)
        self.publisher.flush()
        is_shown = seq >= channel.shown_from and channel.view.is_contiguous(seq)
        return is_shown and channel.view.line(seq) is not None

    async def near(self, name: str, seq: int) -> list[Message]:
        """Return some lines around a message, without showing them."""
        channel = self.account.channels.get(name)
        if channel is None:
            return []
        lines: list[Message] = []
        if root := self.thread_with(name, seq):
            return [line for line in self.account.thread(channel, root) if line.seq][-2 * NEAR :]
        if span := channel.view.coverage.around(seq):
            before = min(seq + NEAR, span[1]) + 1
            lines, _ = self.account.lines_before(channel, before, 2 * NEAR)
        if not lines and self._live is not None:
            lines = await self._live.channel_sync.read_near(channel, seq, 2 * NEAR)
        return lines

    def open_thread(self, name: str, seq: int) -> None:
        """Show the thread of a message, then load the rest from the server."""
        if channel := self.account.channels.get(name):
            self.publisher.threads.open(channel, seq)
            self.load_thread()

    def load_thread(self) -> None:
        """Load an older page of the open thread."""
        if self._live is not None and (shown := self.publisher.threads.shown):
            self._live.channel_sync.load_thread(self.account.ensure_channel(shown[0]))

    def mark(self, name: str, seq: int) -> None:
        """Move the read marker, and send it."""
        channel = self.account.channels.get(name)
        if channel is None or min(seq, channel.view.position) <= channel.view.read:
            return
        self.account.mark(channel, min(seq, channel.view.position))
        self.publisher.channel_changed(name)
        if self._live is not None:
            self._live.channel_sync.markers.schedule(channel)

    def thread_with(self, name: str, seq: int) -> int | None:
        """Return the root of a known reply that is only in its thread; otherwise None."""
        channel = self.account.channels.get(name)
        line = channel.view.line(seq) if channel is not None else None
        return line.thread if line is not None and line.thread_only else None

    def mark_thread(self, name: str, root: int, seq: int) -> None:
        """Move the user's marker in a thread, and send it."""
        channel = self.account.channels.get(name)
        if channel is None or not self._local.connection.has_rooms:
            return
        thread = channel.view.threads.get(root)
        if thread.following and seq > thread.read:
            self.account.mark_thread(channel, root, seq)
            self.publisher.channel_changed(name)
            if self._live is not None:
                self._live.channel_sync.markers.schedule(channel)

    def prefer(self, name: str, change: PreferenceChange) -> None:
        """Change a channel's preferences, and send the change."""
        channel = self.account.channels.get(name)
        if channel is None or not channel.is_stored:
            return
        self.account.change_preference(channel, change)
        self.publisher.channel_changed(name)
        if self._live is not None:
            self._live.channel_sync.preferences.schedule(channel)

    # Online only

    def set_status(self, status: Status) -> None:
        """Send the user's status, now and after each reconnect."""
        self._local.status = status
        if self._online is not None:
            self._online.send_status()

    def reconnect_now(self) -> None:
        """Reconnect at once."""
        if self._online is not None:
            self._online.connector.retry_now()

    async def sign_in(self, name: str, credential: Credential | None) -> None:
        """Sign in with another name, or with a credential, after the server has refused.

        Unsent messages and drafts of a refused name are taken over.

        Raises:
            ChatError: this way is not possible now, or the new account cannot be opened.
        """
        refused = self._local.connection
        is_renamed = fold(name) != fold(refused.user)
        if self._online is None or (is_renamed and SignInWay.NAME not in refused.ways):
            raise ChatError(f"cannot rename: the server has not rejected the name {refused.user}")
        if credential is not None and refused.link is not Link.REFUSED:
            raise ChatError("cannot sign in again: the server has not rejected the sign-in")
        if is_renamed:
            self._local.rename(name)
        self._online.sign_in(credential)

    # Files

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(FLUSH_DELAY, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        was_troubled = self.account.is_unwritable
        self.account.flush()
        if self.account.is_unwritable:
            self._flush_timer = self._loop.call_later(FILE_RETRY, self._flush)
        elif was_troubled:
            text = f"{self.account.path} is writable again; everything is saved."
            self._put(Notice(text, "warning"))
        self._show_reset_channels()
        self._channels_changed()

    def _show_reset_channels(self) -> None:
        """Show and load the channels again whose lines had to be dropped."""
        names = self.account.take_reset_channels()
        if not names:
            return
        self._local.show(names & self._local.shown)
        thread = self.publisher.threads.shown
        if thread is not None and thread[0] in names:
            self.open_thread(*thread)
        if self._online is not None:
            from chat.client.network.connection import ConnectionLost  # already imported

            self._online.connector.fail(ConnectionLost(None, "the local cache was rebuilt"))

    def _look_at_file(self) -> None:
        """Apply changes by other clients, and retry failed writes, every `LOOK_EVERY` seconds."""
        self._look_timer = self._loop.call_later(LOOK_EVERY, self._look_at_file)
        self.sender.save_again()
        gone, changed, has_more = self.account.merge_other_clients()
        for row in gone:
            self.publisher.row_removed(row)
        for row in changed:
            self.sender.changed(row)
        if has_more:
            self._local.publish_saved()
            self.publisher.publish_list()
        self._channels_changed()

    def _channels_changed(self) -> None:
        """Publish channels that another client has changed, and send what the server lacks."""
        names = self.account.take_changed_elsewhere()
        for name in names:
            self.publisher.channel_changed(name)
        for channel in filter(None, map(self.account.channels.get, names)):
            if self._live is not None:
                self._live.channel_sync.preferences.schedule(channel)
                self._live.channel_sync.markers.schedule(channel)


def lines_down_to(account: Account, channel: Channel, seq: int) -> tuple[list[Message], int]:
    """Return the lines from some above `seq` down to the first shown one.

    Returns:
        The lines in order, and the lowest seq to show. No lines, and what is shown already, if
        `seq` is shown or is not known.
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
