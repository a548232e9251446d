"""The engine in the core's thread: account, outbox, shown channels.

It works without a connection, from the cache; what else there is comes through `channel_sync`.

Everything here happens in one event loop, one thing after the other; nothing waits for the network
but tasks. The way to the server is `online`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.preferences import Wish
from chat.client.model.records import Damaged, DiskTrouble, OutboxRow
from chat.client.model.state import LAST_CHANNEL, ConnectionChanged, Link, Message, Notice, Update
from chat.client.network.backoff import Backoff
from chat.client.network.errors import Offline
from chat.client.storage.account import Account
from chat.client.storage.database import Cache
from chat.client.sync.cached_lines import lines_down_to, lines_near
from chat.client.sync.publisher import PAGE, Publisher
from chat.client.sync.tasks import Tasks
from chat.errors import ChatError, StartupError

if TYPE_CHECKING:
    from chat.client.sync.channel_sync import ChannelSync
    from chat.client.sync.online import Online
    from chat.client.sync.sender import Sender
    from chat.protocol.commands import AnsweredBy
    from chat.protocol.values import Status

__all__ = ["Engine", "OutboxWriter", "ShownChannels"]


OFFER_AGAIN = 2.0
"""Seconds until what the disk did not take is offered to it again."""


class OutboxWriter:
    """The durable half of what a person does with one account.

    Args:
        account: whose outbox.
        screens: told what becomes of the lines.
        put: takes notices.
        call_later: the event loop's.
    """

    def __init__(
        self,
        account: Account,
        screens: Publisher,
        put: Callable[[Update], None],
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
    ) -> None:
        self.sending: Sender | None = None
        """Sends what waits, while there is a connection."""
        self._account = account
        self._screens = screens
        self._put = put
        self._call_later = call_later
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Offer nothing to the disk any more."""
        if self._timer is not None:
            self._timer.cancel()

    def write(self, row: OutboxRow) -> None:
        """Put something typed into the outbox, then send it."""
        outbox = self._account.outbox
        try:
            outbox.add(row)
        except DiskTrouble as exc:
            row = outbox.hold(row, f"{exc}; tried again by itself")
            self._offer_later()
        self._show(row)
        self._screens.channel_list()
        self._send(row)

    def retry(self, cid: str) -> None:
        """Send a refused row again."""
        try:
            row = self._account.outbox.retry(cid)
        except DiskTrouble as exc:
            self._put(Notice(str(exc), "error"))
            return
        if row is not None:
            self._changed(row)

    def _changed(self, row: OutboxRow) -> None:
        if self._account.outbox.line_of(row, self._account.me) is None:
            self._screens.removed(self._account.followed(row.channel), row.cid)
        self._show(row)
        self._screens.channel_list()
        self._send(row)

    def discard(self, cid: str) -> None:
        """Throw away a row."""
        row = self._account.outbox.get(cid)
        if row is None:
            return
        try:
            self._account.discard(row)
        except DiskTrouble as exc:
            self._put(Notice(f"Cannot discard the message now: {exc}", "error"))
        else:
            self._gone(row)

    def is_waiting(self, row: OutboxRow) -> bool:
        """Whether a row is still to be sent; if another client discarded it, it goes."""
        if row.cid in self._account.outbox.held or self._account.still_has(row):
            return True
        if self._account.outbox.drop(row.cid) is not None:
            self._gone(row)
        return False

    def follow_others(self) -> bool:
        """Show and send what another client on this file typed, retried or discarded.

        Returns:
            Whether drafts or preferences differ from before.
        """
        gone, changed, has_more = self._account.follow_others()
        for row in gone:
            self._gone(row)
        for row in changed:
            self._changed(row)
        return has_more

    def _gone(self, row: OutboxRow) -> None:
        channel = self._account.followed(row.channel)
        self._screens.removed(channel, row.cid)
        self._screens.line_at(channel, self._account.outbox.target_of(row))
        self._screens.channel_list()

    def offer_again(self) -> None:
        """Offer the disk what it did not take before; send that once the disk has it."""
        for cid in self._account.outbox.held:
            try:
                row = self._account.outbox.retry(cid)
            except DiskTrouble:
                self._offer_later()
                return
            if row is not None:
                self._show(row)
                self._send(row)

    def _offer_later(self) -> None:
        self.close()
        self._timer = self._call_later(OFFER_AGAIN, self.offer_again)

    def _send(self, row: OutboxRow) -> None:
        if self.sending is not None:
            self.sending.channel(row.channel)

    def _show(self, row: OutboxRow) -> None:
        outbox, channel = self._account.outbox, self._account.followed(row.channel)
        line = outbox.line_of(row, self._account.me)
        if line is not None:
            self._screens.lines(channel, [line])
        self._screens.line_at(channel, outbox.target_of(row))


class ShownChannels:
    """See the module. A channel that is not known is passed over: its screen is about to go.

    Args:
        account: what is known on this computer.
        screens: are told what to show.
        following: returns what asks the server; None while there is no connection.
    """

    def __init__(
        self, account: Account, screens: Publisher, following: Callable[[], ChannelSync | None]
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
    def _following(self) -> ChannelSync | None:
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


_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

FLUSH_DELAY = 0.2
OTHERS_EVERY = 1.0
"""Seconds between two looks for what another client on the same file did."""
FILE_RETRY = 2.0
"""Seconds until a file that cannot be made is tried again."""


class Engine:
    """One account, kept connected.

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
        self._settings = settings
        self._places = ClientPaths(settings.data)
        self._backoff = backoff
        self.put = put
        self._loop = asyncio.get_running_loop()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._others_timer: asyncio.TimerHandle | None = None
        self._server = ""
        self._text_limit = 0
        self._user = settings.name
        self._connection = ConnectionChanged(Link.CONNECTING, user=settings.name)
        self._online: Online | None = None
        self.status: Status = "online"
        self._when_idle: list[Callable[[], None]] = []
        self.tasks = Tasks(self._task_failed, self._task_ended)
        self.account = self._open(self._places.servers.key_at(settings.url))

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

            self._online = Online(self, self._settings, self._backoff)
            await self._online.run()
        except Exception as exc:
            _log.exception("the client's core failed")
            self.put(Notice(f"The connection has stopped: internal error {exc!r}.", "error"))
            self.link_changed(
                Link.STOPPED,
                "internal error; start the program again. What you type is sent then",
            )

    def close(self) -> None:
        """Write what is left, and close the file."""
        for timer in (self._flush_timer, self._others_timer):
            if timer is not None:
                timer.cancel()
        self.typed.close()
        self.account.close()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the connection at the latest."""
        self.tasks.start(work)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once nothing waits for the server: no row of the outbox, and no question."""
        self._when_idle.append(then)
        self._task_ended()

    def _task_ended(self) -> None:
        if self._when_idle and not self.tasks.running and not self.account.outbox.waits:
            waiting, self._when_idle = self._when_idle, []
            for then in waiting:
                then()

    def fault(self, exc: Exception) -> None:
        """Tell of something that must not happen."""
        _log.error("a fault", exc_info=exc)
        self.put(Notice(f"a fault in this program: {exc!r}", "error"))

    def reconnect_now(self) -> None:
        """Try again at once."""
        if self._online is not None:
            self._online.connector.retry_now()

    def begin(self) -> None:
        """Tell the screens what is on disk, with the channel that was shown last."""
        self._follow_others()
        last = self.account.prefs.get(LAST_CHANNEL)
        self.repaint()
        if last in self.account.channels:
            self.viewing.open_channel(last)

    def repaint(self) -> None:
        """Tell the screens everything anew."""
        self.put(replace(self._connection, retry_in=None))
        self.screens.everything()
        self.screens.tell()

    def _open(self, key: str | None, *adopted: Path) -> Account:
        places, url, name = self._places, self._settings.url, self._settings.name
        provisional = places.provisional(url, name)
        account = Account(
            places.account(key, name) if key else provisional,
            name,
            adopt=(*adopted, provisional) if key else adopted,
            changed=self._flush_soon,
            trouble=lambda text: self.put(Notice(text, "error")),
            damaged=lambda: self._loop.call_soon(self._begin_file_anew),
        )
        self.screens = Publisher(account, self.put, self._loop.call_soon)
        self.typed = OutboxWriter(account, self.screens, self.put, self._loop.call_later)
        self.server_key = key
        self.viewing = ShownChannels(account, self.screens, lambda: self._following)
        if not account.has_file:
            self._loop.call_later(FILE_RETRY, self._try_file, account)
        return account

    def _try_file(self, account: Account) -> None:
        """Go on with the account's file, if it can be written by now."""
        if account is not self.account:
            return
        try:
            Cache(account.path, patience=0.0).close()
        except Damaged:
            pass  # opening it again sets it aside
        except (DiskTrouble, StartupError):
            self._loop.call_later(FILE_RETRY, self._try_file, account)
            return
        self._reopen(account.close, f"{account.path} can be written again; everything is saved.")

    def _begin_file_anew(self) -> None:
        """Go on with a new file: the one that was open is damaged, or gone."""
        before = self.account
        self._reopen(
            before.abandon,
            f"the local copy {before.path} was damaged or gone and is begun anew from the "
            "server; what is unsent was kept",
        )

    def _reopen(self, let_go: Callable[[], None], told: str) -> None:
        """Open the account's file again, and take over what was in memory.

        Args:
            let_go: closes the present account.
            told: what has happened, for a person.
        """
        before, thread = self.account, self.screens.threads.shown
        opened = self.viewing.opened
        self.typed.close()
        self.typed.sending = None
        if self._online is not None:
            self._online.let_go()
        let_go()
        try:
            self.account = self._open(self.server_key)
        except StartupError as exc:
            self.put(Notice(f"nothing can be kept on this computer now: {exc}", "error"))
            self._loop.call_later(FILE_RETRY, self._reopen, lambda: None, told)
            return
        self.account.take_over(before)
        self.typed.offer_again()
        self.put(Notice(told, "warning"))
        for name in opened:
            self.viewing.open_channel(name)
        if thread is not None:
            self.viewing.open_thread(*thread)
        self.screens.channel_list()
        if self._online is not None:
            from chat.client.network.connection import ConnectionLost  # loaded by now

            self._come_back(ConnectionLost(None, "the local file was opened again"))

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(FLUSH_DELAY, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        self.account.flush()
        if self.account.is_troubled and self.account.has_file:
            self._flush_timer = self._loop.call_later(FILE_RETRY, self._flush)
        for name in self.account.take_begun_elsewhere():
            channel = self.account.channels.get(name)
            if channel is None:
                continue  # it was left meanwhile
            self.account.refresh(channel)
            if self._following is not None:
                self.tasks.start(self._following.begin_anew(channel))
        self._channels_changed()

    def _follow_others(self) -> None:
        """Take up, from time to time, what another client on the same file did."""
        if self.typed.follow_others():
            self.viewing.drafts_changed()
        self._channels_changed()
        self._others_timer = self._loop.call_later(OTHERS_EVERY, self._follow_others)

    def _channels_changed(self) -> None:
        """Show what another client changed of channels, and tell the server if it has not."""
        names = self.account.take_changed_elsewhere()
        if names:
            self.screens.channel_list()
        for channel in filter(None, map(self.account.channels.get, names)):
            if self._following is not None:
                self._following.preferring.soon(channel)
                self._following.marking.soon(channel)

    def _task_failed(self, exc: Exception) -> None:
        if isinstance(exc, Offline):
            return
        if not isinstance(exc, ChatError):
            self.fault(exc)
        self._come_back(exc if isinstance(exc, ChatError) else ChatError(repr(exc)))

    def _come_back(self, why: ChatError) -> None:
        """End the connection, and make another."""
        if self._online is not None:
            self._online.connector.fault(why)

    @property
    def _following(self) -> ChannelSync | None:
        return self._online.following if self._online is not None else None

    # What the connection tells; see `online`

    def belong_to(self, key: str) -> None:
        """Open the account of the server that answers, by its key; see `known_servers`.

        Raises:
            StartupError: it cannot be opened.
        """
        if key == self.server_key:
            return
        before = self.account
        unsent = len(before.outbox) if self.server_key else 0
        self._change_account(key, self._settings, takes_over=self.server_key is None)
        if unsent:
            self.put(
                Notice(
                    f"this is another server than last time; {unsent} unsent messages for the "
                    "other one stay on this computer",
                    "warning",
                )
            )

    async def rename(self, name: str) -> None:
        """Sign in with another name, in the place of one that belongs to somebody else.

        What was typed with the refused name is for the new one.

        Raises:
            ChatError: the name is not refused; the file of the other one cannot be opened.
        """
        if self._online is None or not self._connection.is_name_taken:
            raise ChatError(
                f"another name can be chosen where {self._user} belongs to somebody else"
            )
        key = self._places.servers.key_at(self._settings.url)
        settings = self._settings.but(name=name, token_file=None)
        self._change_account(key, settings, takes_over=not self.account.has_signed_in)
        self._user = name
        self._online.renamed(settings)

    def _change_account(
        self, key: str | None, settings: ClientSettings, *, takes_over: bool
    ) -> None:
        """Go on with another account.

        Args:
            key: of the account's server; None if that is not known yet.
            settings: with the account's name.
            takes_over: whether what was typed for the present one goes to the other.
        """
        before, old_key, old_settings = self.account, self.server_key, self._settings
        opened = self.viewing.opened
        self.screens.tell()
        self.typed.close()
        before.close()
        try:
            self._settings = settings
            self.account = self._open(key, *([before.path] if takes_over else []))
        except StartupError:
            self._settings = old_settings
            self.account = self._open(old_key)
            self.account.take_over(before)
            self.typed.offer_again()
            raise
        if takes_over:
            self.account.take_over(before)
            self.typed.offer_again()
        for name in opened:
            self.viewing.open_channel(name)
        self.screens.channel_list()

    def signed_in(self, user: str, server: str, text_limit: int) -> None:
        """Take who we are there, and tell that there is a connection."""
        self._user, self._server, self._text_limit = user, server, text_limit
        self.account.signed_in(server)
        self.link_changed(Link.ONLINE)

    async def disconnected(self) -> None:
        """Let go of everything that belonged to the connection."""
        self.typed.sending = None
        await self.tasks.cancel()
        for channel in self.account.channels.values():
            channel.detach()
            self.screens.typing(channel)
            self.screens.edges(channel)

    def link_changed(
        self,
        link: Link,
        detail: str = "",
        retry_in: float | None = None,
        *,
        is_name_taken: bool = False,
    ) -> None:
        """Tell the screens how the connection is."""
        self._connection = ConnectionChanged(
            link,
            detail,
            retry_in,
            self._user,
            self._server,
            text_limit=self._text_limit,
            is_name_taken=is_name_taken,
        )
        self.put(self._connection)

    def complain(self, text: str) -> None:
        """Tell a person that the server does something it must not."""
        self.put(Notice(text, "warning"))

    # What needs a connection

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Ask the server; see `Online.ask`."""
        if self._online is None:
            raise Offline("not connected yet")
        return await self._online.ask(command)

    def set_status(self, status: Status) -> None:
        """Tell the server the person's status, now and after each reconnect."""
        self.status = status
        if self._online is not None:
            self._online.tell_status()
