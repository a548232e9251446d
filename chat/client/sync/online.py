"""The engine while connected: sign in, follow, send, ask.

All that needs the protocol's models and a network is imported from here; the engine imports it
when it connects, after the first page was shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from chat import __version__
from chat.client.config.settings import ClientSettings
from chat.client.model.notifications import NotificationRules
from chat.client.model.state import Link
from chat.client.network.auth import Identity
from chat.client.network.backoff import Backoff
from chat.client.network.connector import Connector, Refused
from chat.client.network.errors import Offline
from chat.client.network.session import Session
from chat.client.sync.channel_sync import ChannelSync
from chat.client.sync.sender import Sender
from chat.errors import CommandError, ErrorCode, StartupError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import encode
from chat.protocol.commands import (
    BaseCommand,
    Channels,
    Hello,
    History,
    Join,
    Leave,
    Prefer,
    ResumeFrom,
    Search,
    SetStatus,
    SetTopic,
    Typing,
    Who,
)
from chat.protocol.frames import (
    ChannelList,
    Joined,
    Members,
    Ok,
    Page,
    Results,
    ServerFrame,
    Welcome,
)
from chat.protocol.values import Status, Wire
from chat.text import is_builtin

if TYPE_CHECKING:
    from chat.client.sync.engine import Engine

__all__ = ["Asking", "Online"]


_PINS_MAX = 1_000
_Answer = TypeVar("_Answer", bound=Wire)


class Asking:
    """Asks through one connection.

    Args:
        request: sends a command, and returns its answer; raises `CommandError` or `Offline`.
    """

    def __init__(self, request: Callable[[BaseCommand], Awaitable[ServerFrame]]) -> None:
        self._request = request

    async def join(self, channel: str, position: ResumeFrom | None) -> Joined:
        """Become a member, and follow the channel from a position."""
        return await self._ask(Join(channel=channel, resume=position), Joined)

    async def leave(self, channel: str) -> Ok:
        """End the membership."""
        return await self._ask(Leave(channel=channel), Ok)

    async def hide(self, channel: str) -> Ok:
        """Leave a direct channel out of the list until its next message."""
        return await self._ask(Prefer(channel=channel, hidden=True), Ok)

    async def topic(self, channel: str, text: str) -> Ok:
        """Set the topic."""
        return await self._ask(SetTopic(channel=channel, topic=text), Ok)

    async def who(self, channel: str, cursor: str | None) -> Members:
        """List members."""
        return await self._ask(Who(channel=channel, cursor=cursor), Members)

    async def pins(self, channel: str) -> Page:
        """List what is pinned."""
        page = await self._ask(History(channel=channel, pins=True, limit=_PINS_MAX), Page)
        while not page.complete and page.items:
            before = page.items[0].seq
            older = await self._ask(
                History(channel=channel, pins=True, before=before, limit=_PINS_MAX), Page
            )
            items = tuple(item for item in older.items if item.seq < before)
            complete = older.complete or not items or len(page.items) >= _PINS_MAX
            page = page.model_copy(update={"items": items + page.items, "complete": complete})
        return page

    async def channels(self, cursor: str | None) -> ChannelList:
        """List the public channels."""
        return await self._ask(Channels(cursor=cursor), ChannelList)

    async def search(self, search: Search) -> Results:
        """Find messages."""
        return await self._ask(search, Results)

    async def status(self, status: Status) -> None:
        """Say how one is."""
        await self._request(SetStatus(status=status))

    async def typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Say that one types, or not any more."""
        await self._request(Typing(channel=channel, state=state))

    async def _ask(self, command: BaseCommand, kind: type[_Answer]) -> _Answer:
        answer = await self._request(command)
        assert isinstance(answer, kind)
        return answer


SHORT_HELLO = 4_096
"""Bytes of a `hello` that every server takes: no `limits.frame` is lower."""


class Online:
    """One account's connection, whenever there is one; the connector's `Follower`.

    Args:
        engine: whose account it is.
        settings: a name and an address among them.
        backoff: how long to wait between attempts.
    """

    def __init__(
        self, engine: Engine, settings: ClientSettings, backoff: Backoff | None = None
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._rules = NotificationRules(settings.notify_for, settings.keywords)
        self._resumed: tuple[str, ...] = ()
        self._session: Session | None = None
        self._features: frozenset[str] = frozenset()
        self._is_unanswered = False
        """Whether the last `hello` brought no `welcome`: it may have been too long."""
        self.following: ChannelSync | None = None
        """Follows the channels, while there is a connection."""
        self._identity = Identity(settings)
        self.connector = Connector(settings.url, self, backoff)
        self.asking = Asking(self._request)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        await self.connector.run()

    def renamed(self, settings: ClientSettings) -> None:
        """Sign in with the name of other settings, at once; only while there is no session."""
        self._settings = settings
        self._identity = Identity(settings)
        self.connector.retry_now()

    def let_go(self) -> None:
        """Let go of everything that belonged to the connection."""
        self._session = self.following = None

    # What the connector tells

    def met(self, url: str, server_id: str) -> Hello:
        """Open the account of the server that answers, if there is one, and say who we are."""
        token = self._identity.met(url, server_id)
        is_known = self._identity.account.exists()
        if is_known:
            self._open_account()
        account = self._engine.account
        hello = Hello(
            v=PROTOCOL_VERSION,
            name=self._settings.name,
            token=token,
            client=f"chat-client {__version__}",
        )
        frame, count = account.hello_limits
        room = SHORT_HELLO if self._is_unanswered else frame
        self._is_unanswered = True
        kept = account.positions() if is_known else {}
        positions = _fitting(kept, room - len(encode(hello)) - _ENVELOPE, count)
        self._resumed = tuple(positions)
        return hello.model_copy(update={"resume": positions or None})

    def welcomed(self, session: Session, welcome: Welcome) -> None:
        """Go to work: follow every channel, send what waits."""
        engine = self._engine
        self._is_unanswered = False
        self._features = frozenset(welcome.features)
        warning = self._identity.welcomed(welcome)
        self._open_account()
        if warning:
            self.complain(warning)
        account, screens, put, tasks = engine.account, engine.screens, engine.put, engine.tasks
        account.renamed(welcome.user)
        account.note_hello_limits(welcome.limits.frame, welcome.limits.channels)
        again = [c.name for c in account.channels.values() if is_builtin(c.name) and c.is_member]
        self._session = session
        self.following = ChannelSync(account, session, screens, put, tasks, self._rules)
        is_waiting = engine.typed.is_waiting
        sending = Sender(account, session, self.following, screens, put, tasks, is_waiting)
        engine.typed.sending = sending
        self.following.welcomed(welcome, self._resumed, again)
        sending.all()
        engine.ephemeral.connected()
        engine.signed_in(welcome.user, welcome.server.name, welcome.limits.text)

    def _open_account(self) -> None:
        try:
            self._engine.belong_to(self._identity.key)
        except StartupError as exc:
            raise Refused(str(exc)) from exc

    def take(self, frame: ServerFrame) -> None:
        """Pass a frame on."""
        if self.following is not None:
            self.following.take(frame)

    async def lost(self) -> None:
        """Let go of everything that belonged to the connection."""
        self.let_go()
        await self._engine.disconnected()

    def refused(self, error: CommandError) -> str | None:
        """Say what to do about a refused hello; None: come back with another."""
        self._is_unanswered = False
        return self._identity.refused(error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Tell the screens how the connection is."""
        is_name_taken = link is Link.REFUSED and self._identity.is_name_taken
        self._engine.link_changed(link, detail, retry_in, is_name_taken=is_name_taken)

    def complain(self, text: str) -> None:
        """Tell a person that the server does something it must not."""
        self._engine.complain(text)

    async def _request(self, command: BaseCommand) -> ServerFrame:
        """Send a command; return its answer.

        Raises:
            Offline: there is no connection.
            CommandError: it is refused.
        """
        if self._session is None:
            raise Offline("not connected; this works again once the connection is back")
        is_hiding = isinstance(command, Prefer) and bool(command.hidden)
        if is_hiding and "hidden" not in self._features:
            raise CommandError(ErrorCode.FORBIDDEN, "this server is too old to hide channels")
        answer = await self._session.request(command)
        if isinstance(command, Leave | Prefer) and self.following is not None:
            self.following.left(command.channel)
        return answer


_ENVELOPE = 64
"""Bytes that the id of `hello` and the braces of its positions take."""


def _fitting(positions: dict[str, ResumeFrom], room: int, count: int) -> dict[str, ResumeFrom]:
    """Return as many of the first `positions` as fit into `room` bytes and are at most `count`."""
    fitting: dict[str, ResumeFrom] = {}
    for name, position in positions.items():
        room -= len(name.encode()) + len(encode(position)) + 4  # quotes, colon, comma
        if room < 0 or len(fitting) == count:
            break
        fitting[name] = position
    return fitting
