"""The engine while connected: sign in, sync channels, send, ask.

The engine imports this module when it connects, after the first page was shown: it imports the
protocol's models and the network.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard, TypeVar, cast

from chat.client.model.membership import ROOMS
from chat.client.model.notifications import NotificationRules
from chat.client.model.sign_in import ACCOUNTS, Credential
from chat.client.model.state import DeviceAdded, Link, Notice
from chat.client.network.auth import Identity, is_private
from chat.client.network.backoff import Backoff
from chat.client.network.connection import open_connection
from chat.client.network.connector import Connector, Refused
from chat.client.network.errors import Offline, Unanswered
from chat.client.network.session import Session
from chat.client.storage.account import account_exists
from chat.client.sync.channel_sync import ChannelSync
from chat.client.sync.local_state import LocalState
from chat.client.sync.sender import Sender
from chat.client.sync.tasks import Tasks
from chat.errors import CommandError, ErrorCode, StartupError
from chat.protocol.codec import encode
from chat.protocol.commands import (
    AccountCommand,
    AnsweredBy,
    Archive,
    Ban,
    BaseCommand,
    ChangeChannel,
    Create,
    CreateInvitation,
    CreateLink,
    Decline,
    DeleteChannel,
    Follow,
    Hello,
    Ignore,
    Invite,
    Join,
    Kick,
    Leave,
    ListBans,
    ListDevices,
    ListInvitations,
    ListUsers,
    MuteUser,
    Prefer,
    ReadAudit,
    ResumeFrom,
    Revoke,
    SetPassword,
    SetRole,
    SetStatus,
    Unban,
    Unignore,
    Uninvite,
    Unmute,
)
from chat.protocol.frames import Account, LimitsFrame, ServerFrame, Welcome
from chat.text import is_builtin, printable_line

__all__ = ["Online"]


_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_Command = TypeVar("_Command")

SHORT_HELLO = 4_096
"""Bytes of a `hello` that every server accepts: no `limits.frame` is lower."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """The objects that exist from `welcome` until the connection ends."""

    session: Session
    channel_sync: ChannelSync
    features: frozenset[str]
    """The server's features beyond the first release; see `chat.protocol.FEATURES`."""


class Online:
    """The connection of one account; the connector's `Follower`.

    Args:
        local: the account and its screens.
        sender: sends the outbox.
        tasks: run requests; end with the connection.
        backoff: delays between attempts to connect.
    """

    def __init__(
        self, local: LocalState, sender: Sender, tasks: Tasks, backoff: Backoff | None = None
    ) -> None:
        self._local = local
        self._sender = sender
        self._tasks = tasks
        self._rules = NotificationRules(local.settings.notify_for, local.settings.keywords)
        self._resumed: tuple[str, ...] = ()
        self._is_unanswered = False
        """Whether the last `hello` got no `welcome`: it may have been too long."""
        self.live: LiveSession | None = None
        """The session and its syncs, while there is a connection."""
        self._identity = Identity(local.settings)
        connect = partial(open_connection, ca=local.settings.ca)
        self.connector = Connector(local.settings.url, self, backoff, connect)

    def sign_in(self, credential: Credential | None) -> None:
        """Sign in with the name of the open account; call it only without a session.

        Without a credential, an invitation that another name was refused with is used again.
        """
        self._identity = Identity(self._local.settings, credential or self._identity.invitation)
        self.connector.retry_now()

    # Reports of the connector

    def hello_for(self, url: str, server_id: str, features: frozenset[str]) -> Hello:
        """Open the server's account, if it exists, and return the hello."""
        hello = self._identity.hello_for(url, server_id, features)
        is_stored = account_exists(self._identity.account)
        if is_stored:
            self._open_account()
        account = self._local.account
        account.note_features(features)
        frame, count = account.hello_limits
        room = SHORT_HELLO if self._is_unanswered else frame
        self._is_unanswered = True
        stored = account.positions() if is_stored else {}
        positions = _fitting(stored, room - len(encode(hello)) - _ENVELOPE, count)
        self._resumed = tuple(positions)
        return hello.model_copy(update={"resume": positions or None})

    def signed_in(self, session: Session, welcome: Welcome) -> Callable[[ServerFrame], None]:
        """Start syncing all channels and sending the outbox."""
        self._is_unanswered = False
        warning = self._identity.signed_in()
        self._open_account()
        local, tasks = self._local, self._tasks
        if warning:
            self.warn(warning)
        account, publisher, put = local.account, local.publisher, local.put
        account.renamed(welcome.user)
        account.note_hello_limits(welcome.limits.frame, welcome.limits.channels)
        again = [c.name for c in account.channels.values() if is_builtin(c.name) and c.is_member]
        features = frozenset(welcome.features)
        channel_sync = ChannelSync(
            account, session, publisher, put, tasks, self._rules, has_rooms=ROOMS in features
        )
        self.live = LiveSession(session, channel_sync, features)
        channel_sync.start(welcome, self._resumed, again)
        self._sender.begin(session, channel_sync, has_rooms=ROOMS in features)
        if local.status != "online":
            self.send_status()
        local.signed_in(welcome)

        def take(frame: ServerFrame) -> None:
            if isinstance(frame, Account):
                self._account_changed(frame)
            elif isinstance(frame, LimitsFrame):
                account.note_hello_limits(frame.limits.frame, frame.limits.channels)
                local.limits_changed(frame.limits)
            else:
                channel_sync.take(frame)

        return take

    def _account_changed(self, frame: Account) -> None:
        """Apply a change of the user's own account by another device or an admin."""
        if frame.id is not None:
            return  # an answer
        if frame.account.role != self._local.connection.role:
            self._local.role_changed(frame.account.role)
            if self.live is not None:
                self.live.channel_sync.role_changed(frame.account.role)
            self._local.put(Notice(f"Your role on this server is now {frame.account.role}."))
        if frame.device is not None and not frame.device.current:
            self._local.put(DeviceAdded())
            self.warn(
                f"A new device signed in as you: {printable_line(frame.device.label)}. If it is "
                "not yours, use /devices to revoke it"
            )
        if frame.password_changed:
            act = "changed on another device"
            if not frame.account.has_password:
                act = "removed on another device or by the server's operator"
            self.warn(
                f"Your password was {act}. If it was not you, use /devices to revoke devices that "
                "you do not know, and tell the server's operator"
            )

    def _open_account(self) -> None:
        try:
            self._local.belong_to(self._identity.key)
        except StartupError as exc:
            raise Refused(str(exc)) from exc

    async def disconnected(self) -> None:
        """Drop everything that belongs to the connection."""
        self.live = None
        self._sender.end()
        await self._tasks.cancel()
        for channel in self._local.account.channels.values():
            channel.detach()
            self._local.publisher.typing_changed(channel)
            self._local.publisher.edges_changed(channel)

    def hello_refused(self, error: CommandError) -> str | None:
        """Return the message for a rejected hello, or None to retry with another token."""
        self._is_unanswered = False
        return self._identity.hello_refused(error)

    def link_changed(self, link: Link, detail: str = "", retry_in: float | None = None) -> None:
        """Publish a new state of the connection."""
        refusal = self._identity.refusal if link is Link.REFUSED else None
        self._local.link_changed(link, detail, retry_in, refusal)

    def warn(self, text: str) -> None:
        """Show a warning to the user."""
        self._local.put(Notice(text, "warning"))

    # Requests of the interface

    async def ask(self, command: AnsweredBy[_Answer]) -> _Answer:
        """Send a command to the server; return its answer.

        Raises:
            Offline: there is no connection, or it ended before the answer arrived.
            Unanswered: no answer arrived in time.
            CommandError: it was rejected.
        """
        if self.live is None:
            raise Offline("not connected; try again after reconnecting")
        live, asked = self.live, cast("object", command)
        self._check(asked, live.features)
        answer = await live.session.ask(self._with_position(command))
        if isinstance(asked, Leave) or _hides(asked):
            live.channel_sync.forget(asked.channel)
        return answer

    def _check(self, command: object, features: frozenset[str]) -> None:
        """Refuse a command that the server does not know, or a secret that others could read.

        Raises:
            CommandError: with the reason.
        """
        if _hides(command) and "hidden" not in features:
            raise CommandError(ErrorCode.FORBIDDEN, "this server is too old to hide channels")
        if (what := _of_rooms(command)) and ROOMS not in features:
            raise CommandError(
                ErrorCode.FORBIDDEN,
                f"This server is too old for {what}: it does not support private channels, roles, "
                "moderation and followed threads.",
            )
        if what or not isinstance(command, _OF_ACCOUNTS):
            return
        if ACCOUNTS not in features:
            raise CommandError(
                ErrorCode.FORBIDDEN,
                "This server is too old: it does not support devices, passwords, invitations and "
                "bans.",
            )
        if isinstance(command, _WITH_SECRETS) and not is_private(self._identity.url):
            raise CommandError(
                ErrorCode.FORBIDDEN,
                f"The connection to {self._identity.url} is not encrypted: others could read the "
                "secret. Connect to a wss:// address first.",
            )

    def _with_position(self, command: _Command) -> _Command:
        """Add the known position to a `Join`, to resume there."""
        if not isinstance(command, Join):
            return command
        channel = self._local.account.channels.get(command.channel)
        position = channel.view.resume if channel is not None and channel.is_stored else None
        return command.model_copy(update={"resume": position})

    def send_status(self) -> None:
        """Send the user's status, if there is a connection."""
        if self.live is not None:
            self._tasks.start(self._send_status())

    async def _send_status(self) -> None:
        """Send the status until the server has answered, or the status has changed."""
        status, backoff = self._local.status, Backoff(0.5)
        while status == self._local.status:
            try:
                await self.ask(SetStatus(status=status))
                break
            except Unanswered:
                continue
            except CommandError as error:
                if not error.code.retryable:
                    _log.info("the status was rejected: %s", error)
                    break
                await asyncio.sleep(backoff.after(error))


_WITH_SECRETS = (SetPassword, CreateLink, CreateInvitation)
"""Commands that contain a secret, or whose answers do."""
_OF_ACCOUNTS = (
    *_WITH_SECRETS,
    ListDevices,
    Revoke,
    AccountCommand,
    ListUsers,
    ListInvitations,
    Ban,
    Unban,
    ListBans,
    ReadAudit,
)


_OF_ROOMS: dict[type[BaseCommand], str] = {
    Create: "/create",
    Kick: "/kick",
    MuteUser: "/mute @NAME",
    Unmute: "/unmute @NAME",
    SetRole: "roles in channels",
    Invite: "/invite",
    Uninvite: "/uninvite",
    Decline: "/decline",
    ChangeChannel: "/channel",
    Archive: "/archive",
    DeleteChannel: "/delete-channel",
    Ignore: "/ignore",
    Unignore: "/unignore",
    Follow: "/follow",
    Ban: "bans from channels",
    Unban: "bans from channels",
    ListBans: "bans from channels",
}
"""What the user did, by the command that it needs; bans only with a channel."""


def _of_rooms(command: object) -> str:
    """Return what the user did, if the command needs a server with rooms; else an empty text."""
    if isinstance(command, Ban | Unban | ListBans) and command.channel is None:
        return ""
    return next((what for kind, what in _OF_ROOMS.items() if isinstance(command, kind)), "")


def _hides(command: object) -> TypeGuard[Prefer]:
    return isinstance(command, Prefer) and bool(command.hidden)


_ENVELOPE = 64
"""Bytes of the id in `hello` and the braces of its positions."""


def _fitting(positions: dict[str, ResumeFrom], room: int, count: int) -> dict[str, ResumeFrom]:
    """Return the first `positions` that fit into `room` bytes, at most `count`."""
    fitting: dict[str, ResumeFrom] = {}
    for name, position in positions.items():
        room -= len(name.encode()) + len(encode(position)) + 4  # quotes, colon, comma
        if room < 0 or len(fitting) == count:
            break
        fitting[name] = position
    return fitting
