"""The client without its screens, as it runs in the core's thread: account, connection, commands.

Everything here happens in one event loop, one thing after the other; nothing waits for the network
but tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from chat import __version__
from chat.client.account import Account
from chat.client.backoff import Backoff
from chat.client.calls import Rules
from chat.client.config import ClientSettings
from chat.client.ephemeral import Ephemeral
from chat.client.following import Following
from chat.client.identity import explain_refusal, keep_welcome, token_for
from chat.client.link import Connector, Refused
from chat.client.places import Places
from chat.client.preferences import Wish
from chat.client.reaching import lines_down_to, lines_near
from chat.client.screens import PAGE, Screens
from chat.client.sending import Sending
from chat.client.session import Offline, Session
from chat.client.state import ConnectionChanged, Link, Message, Notice, Update
from chat.client.tasks import Tasks
from chat.client.typed import Typed
from chat.errors import ChatError, CommandError, StartupError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import BaseCommand, Hello, Leave, ResumeFrom
from chat.protocol.frames import ServerFrame, Welcome
from chat.text import is_builtin

__all__ = ["Engine"]

_log = logging.getLogger(__name__)

FLUSH_DELAY = 0.2
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
        self._put = put
        self._rules = Rules(settings.notify_for, settings.keywords)
        self._loop = asyncio.get_running_loop()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._link = Link.CONNECTING
        self._server = ""
        self._text_limit = 0
        self._user = settings.name
        self.ephemeral = Ephemeral(self.tell, self._loop.time)
        self._resumed: tuple[str, ...] = ()
        self._session: Session | None = None
        self._following: Following | None = None
        self._tasks = Tasks(self._task_failed)
        self.account = self._open(self._places.servers.id_at(settings.url))
        self._connector = Connector(settings.url, self, backoff)

    # Life

    async def run(self) -> None:
        """Stay connected until cancelled; then write what is left."""
        try:
            await self._connector.run()
        except Exception as exc:
            _log.exception("the client's core failed")
            self._put(Notice(f"the connection has stopped because of a fault: {exc!r}", "error"))
            self.link_changed(Link.STOPPED, "a fault in this program; start it again")
            raise
        finally:
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            self.typed.close()
            self.account.close()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the connection at the latest."""
        self._tasks.start(work)

    def fault(self, exc: Exception) -> None:
        """Tell of something that must not happen."""
        _log.error("a fault", exc_info=exc)
        self._put(Notice(f"a fault in this program: {exc!r}", "error"))

    def reconnect_now(self) -> None:
        """Try again at once."""
        self._connector.retry_now()

    def repaint(self) -> None:
        """Tell the screens everything anew."""
        self.link_changed(self._link)
        self._screens.everything()
        self._screens.tell()

    def _open(self, server: str | None) -> Account:
        places, url, name = self._places, self._settings.url, self._settings.name
        provisional = places.provisional(url, name)
        account = Account(
            places.account(server, name) if server else provisional,
            name,
            adopt=provisional if server else None,
            changed=self._flush_soon,
            trouble=lambda text: self._put(Notice(text, "error")),
            damaged=lambda: self._loop.call_soon(self._begin_file_anew),
        )
        self._screens = Screens(account, self._put, self._loop.call_soon)
        self.typed = Typed(account, self._screens, self._put, self._loop.call_later)
        self._server_id = server
        self._drafted = {channel for channel, text in account.drafts.items() if text}
        return account

    def _begin_file_anew(self) -> None:
        """Go on with a new file: the one that was open is damaged, or gone."""
        before, thread = self.account, self._screens.threads.shown
        opened = {c.name for c in before.channels.values() if c.shown_from is not None}
        self.typed.close()
        self._session = self._following = self.typed.sending = None
        before.abandon()
        try:
            self.account = self._open(self._server_id)
        except StartupError as exc:
            self._put(Notice(f"nothing can be kept on this computer now: {exc}", "error"))
            self._loop.call_later(FILE_RETRY, self._begin_file_anew)
            return
        self.account.take_over(before)
        self.typed.offer_again()
        self._put(
            Notice(
                f"the local copy {before.path} was damaged or gone and is begun anew from the "
                "server; what is unsent was kept",
                "warning",
            )
        )
        for name in opened:
            self.open_channel(name)
        if thread is not None:
            self.open_thread(*thread)
        self._screens.channel_list()
        self._connector.fault(ChatError("the local copy is begun anew"))

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(FLUSH_DELAY, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        for name in self.account.flush():
            channel = self.account.followed(name)
            self.account.refresh(channel)
            if self._following is not None:
                self._tasks.start(self._following.begin_anew(channel))

    def _task_failed(self, exc: Exception) -> None:
        if isinstance(exc, Offline):
            return
        if not isinstance(exc, ChatError):
            self.fault(exc)
        self._connector.fault(exc if isinstance(exc, ChatError) else ChatError(repr(exc)))

    # What the connector tells

    def met(self, server_id: str) -> Hello:
        """Open the account of the server that answers, and say who we are."""
        if server_id != self._server_id:
            self._change_server(server_id)
        positions = self.account.positions()
        self._resumed = tuple(positions)
        return Hello(
            v=PROTOCOL_VERSION,
            name=self._settings.name,
            token=token_for(server_id, self._settings),
            client=f"chat-client {__version__}",
            resume=positions or None,
        )

    def _change_server(self, server_id: str) -> None:
        before = self.account
        opened = {c.name for c in before.channels.values() if c.shown_from is not None}
        unsent = len(before.outbox) if self._server_id else 0
        self._screens.tell()
        self.typed.close()
        before.close()
        try:
            self.account = self._open(server_id)
        except StartupError as exc:
            self.account = self._open(self._server_id)
            raise Refused(str(exc)) from exc
        if unsent:
            self._put(
                Notice(
                    f"this is another server than last time; {unsent} unsent messages for the "
                    "other one stay on this computer",
                    "warning",
                )
            )
        for name in opened:
            self.open_channel(name)
        self._screens.channel_list()

    def welcomed(self, session: Session, welcome: Welcome) -> None:
        """Go to work: follow every channel, send what waits."""
        self._user, self._server = welcome.user, welcome.server.name
        self._text_limit = welcome.limits.text
        server_id = self._server_id or ""  # as told before hello: the secret went to that one
        keep_welcome(server_id, self._settings, welcome)
        # An operator's token is kept now, and its file may go.
        self._settings = self._settings.model_copy(update={"token_file": None})
        account, screens = self.account, self._screens
        account.renamed(welcome.user)
        again = [c.name for c in account.channels.values() if is_builtin(c.name) and c.is_member]
        self._session = session
        self._following = Following(account, session, screens, self._put, self._tasks, self._rules)
        sending = Sending(account, session, self._following, screens, self._put, self._tasks)
        self.typed.sending = sending
        self._following.welcomed(welcome, self._resumed, again)
        sending.all()
        self.ephemeral.connected()
        self.link_changed(Link.ONLINE)

    def take(self, frame: ServerFrame) -> None:
        """Pass a frame on."""
        if self._following is not None:
            self._following.take(frame)

    async def lost(self) -> None:
        """Let go of everything that belonged to the connection."""
        self._session = self._following = self.typed.sending = None
        await self._tasks.cancel()
        for channel in self.account.channels.values():
            channel.detach()
            self._screens.typing(channel)
            self._screens.edges(channel)

    def refused_name(self, error: CommandError) -> str:
        """Say what to do about a refused hello."""
        return explain_refusal(self._settings, error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Tell the screens how the connection is."""
        self._link = link
        self._put(
            ConnectionChanged(
                link, detail, retry_in, self._user, self._server, text_limit=self._text_limit
            )
        )

    def complain(self, text: str) -> None:
        """Tell a person that the server does something it must not."""
        self._put(Notice(text, "warning"))

    # What a person looks at

    def mark(self, name: str, seq: int) -> None:
        """Move the read marker; the server hears of it when it can."""
        channel = self.account.channels.get(name)
        if channel is None or min(seq, channel.view.position) <= channel.view.read:
            return
        self.account.mark(channel, min(seq, channel.view.position))
        self._screens.channel_list()
        if self._following is not None:
            self._following.mark_soon(channel)

    def prefer(self, name: str, wish: Wish) -> None:
        """Change how one wants a channel; the server hears of it when it can."""
        channel = self.account.channels.get(name)
        if channel is None or not channel.is_kept:
            return
        channel.wish = channel.wish.and_then(wish)
        self.account.touch(channel)
        self._screens.channel_list()
        if self._following is not None:
            self._following.preferring.soon(channel)

    def save_draft(self, channel: str, text: str) -> None:
        """Keep what is typed and not sent."""
        self.account.set_draft(channel, text)
        if (channel in self._drafted) != bool(text):  # the list shows that there is one
            self._drafted ^= {channel}
            self._screens.channel_list()

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
            self._screens.lines(channel, lines)
        elif not channel.is_complete and self._following is not None and channel.view.epoch:
            self._following.load_before(channel, channel.shown_from)
            return
        self._screens.edges(channel)

    async def reach(self, name: str, seq: int) -> bool:
        """Show a line, some above it and all that is known below; return whether it is there."""
        channel = self.account.channels.get(name)
        if channel is None:
            return False
        if channel.shown_from is None:
            self.open_channel(name)
        if channel.view.coverage.around(seq) is None and self._following and channel.view.epoch:
            await self._following.fetch(channel, seq)
        lines, channel.shown_from = lines_down_to(self.account, channel, seq)
        self._screens.lines(channel, lines)
        self._screens.edges(channel)
        self._screens.tell()
        is_shown = seq >= channel.shown_from and channel.view.is_in_place(seq)
        return is_shown and channel.view.line(seq) is not None

    async def near(self, name: str, seq: int) -> list[Message]:
        """Find some lines before and after one, and itself, without showing them."""
        channel = self.account.channels.get(name)
        if channel is None:
            return []
        lines = lines_near(self.account, channel, seq)
        if not lines and self._following is not None:
            lines = await self._following.read_near(channel, seq)
        return lines

    def load_gap(self, name: str, seq: int) -> None:
        """Show what is missing before `seq`."""
        channel = self.account.channels.get(name)
        if channel is not None and self._following is not None and channel.view.epoch:
            self._following.load_before(channel, seq)
        elif channel is not None:
            self._screens.edges(channel)

    def open_thread(self, name: str, seq: int) -> None:
        """Show the thread of a message: what is at hand, then what the server has."""
        if channel := self.account.channels.get(name):
            self._screens.threads.open(channel, seq)
            self.load_thread()

    def load_thread(self) -> None:
        """Load an older page of the thread that is shown."""
        if self._following is not None and (shown := self._screens.threads.shown):
            self._following.load_thread(self.account.followed(shown[0]))

    def close_thread(self) -> None:
        """Show no thread any more."""
        self._screens.threads.close()

    # What a person does: only while connected

    async def request(self, command: BaseCommand) -> ServerFrame:
        """Send a command; return its answer.

        Raises:
            Offline: there is no connection.
            CommandError: it is refused.
        """
        if self._session is None:
            raise Offline("not connected; this works again once the connection is back")
        answer = await self._session.request(command)
        if isinstance(command, Leave) and self._following is not None:
            self._following.left(command.channel)
        return answer

    def position_of(self, name: str) -> ResumeFrom | None:
        """Return the position in a channel, to join it from."""
        channel = self.account.channels.get(name)
        return channel.view.resume if channel is not None and channel.is_kept else None

    def tell(self, command: BaseCommand) -> None:
        """Send a command whose answer nobody waits for; dropped while offline."""

        async def ask() -> None:
            try:
                await self.request(command)
            except CommandError as error:
                _log.info("%s was refused: %s", type(command).__name__, error.code)

        if self._session is not None:
            self._tasks.start(ask())
