"""The engine while connected: sign in, follow, send, ask.

All that needs the protocol's models and a network is imported from here; the engine imports it
when it connects, after the first page was shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard, TypeVar, cast

from chat import __version__
from chat.client.model.notifications import NotificationRules
from chat.client.model.state import Link, Notice
from chat.client.network.auth import Identity
from chat.client.network.backoff import Backoff
from chat.client.network.connector import Connector, Refused
from chat.client.network.errors import Offline, Unanswered
from chat.client.network.session import Session
from chat.client.storage.account import is_known
from chat.client.sync.channel_sync import ChannelSync
from chat.client.sync.local_state import LocalState
from chat.client.sync.sender import Sender
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError, ErrorCode, StartupError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.codec import encode
from chat.protocol.commands import (
    AnsweredBy,
    Hello,
    Join,
    Leave,
    Prefer,
    ResumeFrom,
    SetStatus,
)
from chat.protocol.frames import ServerFrame, Welcome
from chat.text import is_builtin

__all__ = ["Online"]


_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_Command = TypeVar("_Command")

SHORT_HELLO = 4_096
"""Bytes of a `hello` that every server takes: no `limits.frame` is lower."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """What exists from `welcome` until the connection ends."""

    session: Session
    following: ChannelSync
    sender: Sender
    can_hide: bool
    """Whether the server hides channels."""


class Online:
    """One account's connection, whenever there is one; the connector's `Follower`.

    Args:
        local: whose account it is, and what its screens are told.
        tasks: run what ends with the connection.
        backoff: how long to wait between attempts.
    """

    def __init__(self, local: LocalState, tasks: Tasks, backoff: Backoff | None = None) -> None:
        self._local = local
        self._tasks = tasks
        self._rules = NotificationRules(local.settings.notify_for, local.settings.keywords)
        self._resumed: tuple[str, ...] = ()
        self._is_unanswered = False
        """Whether the last `hello` brought no `welcome`: it may have been too long."""
        self.live: LiveSession | None = None
        """What follows and sends, while there is a connection."""
        self._identity = Identity(local.settings)
        self.connector = Connector(local.settings.url, self, backoff)

    def renamed(self) -> None:
        """Sign in with the name of the account that is open now; only without a session."""
        self._identity = Identity(self._local.settings)
        self.connector.retry_now()

    # What the connector tells

    def met(self, url: str, server_id: str) -> Hello:
        """Open the account of the server that answers, if there is one, and say who we are."""
        token = self._identity.met(url, server_id)
        is_kept = is_known(self._identity.account)
        if is_kept:
            self._open_account()
        account = self._local.account
        hello = Hello(
            v=PROTOCOL_VERSION,
            name=self._local.settings.name,
            token=token,
            client=f"chat-client {__version__}",
        )
        frame, count = account.hello_limits
        room = SHORT_HELLO if self._is_unanswered else frame
        self._is_unanswered = True
        kept = account.positions() if is_kept else {}
        positions = _fitting(kept, room - len(encode(hello)) - _ENVELOPE, count)
        self._resumed = tuple(positions)
        return hello.model_copy(update={"resume": positions or None})

    def welcomed(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """Go to work: follow every channel, send what waits."""
        self._is_unanswered = False
        warning = self._identity.welcomed()
        self._open_account()
        local, tasks = self._local, self._tasks
        if warning:
            self.complain(warning)
        account, screens, put = local.account, local.screens, local.put
        account.renamed(welcome.user)
        account.note_hello_limits(welcome.limits.frame, welcome.limits.channels)
        again = [c.name for c in account.channels.values() if is_builtin(c.name) and c.is_member]
        following = ChannelSync(account, session, screens, put, tasks, self._rules)
        sender = Sender(account, session, following, screens, put, tasks)
        self.live = LiveSession(session, following, sender, "hidden" in welcome.features)
        following.welcomed(welcome, self._resumed, again)
        sender.all()
        if local.status != "online":
            self.tell_status()
        local.signed_in(welcome.user, welcome.server.name, welcome.limits.text)
        return following.take

    def _open_account(self) -> None:
        try:
            self._local.belong_to(self._identity.key)
        except StartupError as exc:
            raise Refused(str(exc)) from exc

    async def lost(self) -> None:
        """Let go of everything that belonged to the connection."""
        self.live = None
        await self._tasks.cancel()
        for channel in self._local.account.channels.values():
            channel.detach()
            self._local.screens.typing(channel)
            self._local.screens.edges(channel)

    def refused(self, error: CommandError) -> str | None:
        """Say what to do about a refused hello; None: come back with another."""
        self._is_unanswered = False
        return self._identity.refused(error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Tell the screens how the connection is."""
        is_name_taken = link is Link.REFUSED and self._identity.is_name_taken
        self._local.link_changed(link, detail, retry_in, is_name_taken=is_name_taken)

    def complain(self, text: str) -> None:
        """Tell a person that the server does something it must not."""
        self._local.put(Notice(text, "warning"))

    # What the interface asks

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Ask the server; return its answer.

        Raises:
            Offline: there is no connection, or it ended before the answer came.
            Unanswered: no answer came in time.
            CommandError: it is refused.
        """
        if self.live is None:
            raise Offline("not connected; try again after reconnecting")
        live, asked = self.live, cast("object", command)
        if _hides(asked) and not live.can_hide:
            raise CommandError(ErrorCode.FORBIDDEN, "this server is too old to hide channels")
        answer = await live.session.ask(self._with_position(command))
        if isinstance(asked, Leave) or _hides(asked):
            live.following.left(asked.channel)
        return answer

    def _with_position(self, command: _Command) -> _Command:
        """Let `Join` read on from the position that is known here."""
        if not isinstance(command, Join):
            return command
        channel = self._local.account.channels.get(command.channel)
        position = channel.view.resume if channel is not None and channel.is_kept else None
        return command.model_copy(update={"resume": position})

    def tell_status(self) -> None:
        """Tell the server the person's status, if there is a connection."""
        if self.live is not None:
            self._tasks.start(self._tell_status())

    async def _tell_status(self) -> None:
        try:
            await self.ask(SetStatus(status=self._local.status))
        except (CommandError, Unanswered) as exc:
            _log.info("the status was not taken: %s", exc)


def _hides(command: object) -> TypeGuard[Prefer]:
    return isinstance(command, Prefer) and bool(command.hidden)


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
