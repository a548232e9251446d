"""The client without its screens, as it runs in the core's thread: account, outbox, what is shown.

Everything here happens in one event loop, one thing after the other; nothing waits for the network
but tasks. The way to the server is `online`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from chat.client.account import Account
from chat.client.backoff import Backoff
from chat.client.cache import Cache
from chat.client.config import ClientSettings
from chat.client.ephemeral import Ephemeral
from chat.client.offline import Offline, Unanswered
from chat.client.places import Places
from chat.client.records import Damaged, DiskTrouble
from chat.client.screens import Screens
from chat.client.state import LAST_CHANNEL, ConnectionChanged, Link, Notice, Update
from chat.client.tasks import Tasks
from chat.client.typed import Typed
from chat.client.viewing import Viewing
from chat.errors import ChatError, CommandError, StartupError

if TYPE_CHECKING:
    from chat.client.asking import Asking
    from chat.client.following import Following
    from chat.client.online import Online
    from chat.protocol.commands import ResumeFrom
    from chat.protocol.values import Status

__all__ = ["Engine"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

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
        self._places = Places(settings.data)
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
        self.ephemeral = Ephemeral(self, self._loop.time)
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
            from chat.client.online import Online  # a fifth of a second: the first page goes first

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
        self.screens = Screens(account, self.put, self._loop.call_soon)
        self.typed = Typed(account, self.screens, self.put, self._loop.call_later)
        self.server_key = key
        self.viewing = Viewing(account, self.screens, lambda: self._following)
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
            from chat.client.connection import ConnectionLost  # loaded by now

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
    def _following(self) -> Following | None:
        return self._online.following if self._online is not None else None

    # What the connection tells; see `online`

    def belong_to(self, key: str) -> None:
        """Open the account of the server that answers, by its key; see `servers`.

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

    # Only while connected

    async def ask(self, question: Callable[[Asking], Awaitable[_T]]) -> _T:
        """Ask the server; return its answer.

        Raises:
            Offline: there is no connection.
            CommandError: it is refused.
        """
        if self._online is None:
            raise Offline("not connected yet")
        return await question(self._online.asking)

    def position_of(self, name: str) -> ResumeFrom | None:
        """Return the position in a channel, to join it from."""
        channel = self.account.channels.get(name)
        return channel.view.resume if channel is not None and channel.is_kept else None

    def tell_status(self, status: Status) -> None:
        """Say how one is; dropped while offline."""
        self._tell(lambda asking: asking.status(status))

    def tell_typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Say that one types, or not any more; dropped while offline."""
        self._tell(lambda asking: asking.typing(channel, state))

    def _tell(self, what: Callable[[Asking], Awaitable[None]]) -> None:
        async def tell() -> None:
            try:
                await self.ask(what)
            except CommandError as error:
                _log.info("what nobody waits for was refused: %s", error.code)
            except Unanswered:
                _log.info("what nobody waits for got no answer")

        if self._following is not None:
            self.tasks.start(tell())
