"""Apply audit entries to live sessions: end them, and notify users of their account's changes.

The store delivers each commit's audit entries, in order, whichever process made them. The store
itself refuses the operations and reads of a banned, disabled or revoked session from that commit
on; this module ends the connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from chat.errors import CloseCode, CommandError
from chat.protocol import frames
from chat.rights import GENERAL
from chat.server.channels.live import LiveChannels
from chat.server.reads import Reads
from chat.server.refusals import close_reason
from chat.server.transport.connection import Connection
from chat.server.transport.limits import Refusal
from chat.store.accounts import Account, BannedNetworks
from chat.store.operations import AuditEntry, User
from chat.store.read.standing import banned, ending

__all__ = ["Administration", "LiveSession", "account_info"]

log = logging.getLogger(__name__)

PASSWORD_CHANGES = frozenset({"password_set", "password_removed"})
OWN_CHANGES = PASSWORD_CHANGES | {"role", "device_added"}
"""Acts after which the user's own sessions receive an `account` frame."""


class LiveSession(Protocol):
    """A session of a connected client."""

    connection: Connection
    is_signed_in: bool
    user: User

    def end(self, error: CommandError) -> None:
        """Send the error, and close the connection with its close code."""


class Administration:
    """Applies audit entries; used on the event loop.

    Args:
        loop: runs the reads of changed accounts.
        channels: the signed-in sessions by user.
        reads: reads changed accounts.
        connections: all connections; a ban of a network also ends those without a session.
        sessions: returns the sessions of all connections, signed in or not.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channels: LiveChannels,
        reads: Reads,
        connections: Collection[Connection],
        sessions: Callable[[], Iterable[LiveSession]],
    ) -> None:
        self.ended = 0
        """Number of applied entries that end sessions.

        A sign-in whose commit is older than such an entry may register after it was applied; it
        must then read its account's standing again.
        """
        self._applied = 0
        self._loop = loop
        self._channels = channels
        self._reads = reads
        self._connections = connections
        self._sessions = sessions
        self._banned = BannedNetworks()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, banned_networks: BannedNetworks) -> None:
        """Set the banned networks, which `apply` keeps current."""
        self._banned = banned_networks

    def reload(self) -> None:
        """Read the banned networks again: the database may have lost entries that were applied."""
        self._run(self._read_bans())

    async def _read_bans(self) -> None:
        applied = None
        while applied != self._applied:
            applied = self._applied
            try:
                found = await self._reads.welcome(lambda reader: reader.accounts.banned_networks())
            except CommandError:  # the database refuses banned addresses in any case
                return
        self._banned = found

    def refusal(self, address: str) -> Refusal | None:
        """Return why a connection from `address` is refused; None: it is not banned."""
        if not self._banned or (ban := self._banned.covering(address, now := _now())) is None:
            return None
        reason = close_reason(banned(ban, now).message)
        return Refusal(reason, is_explained=True, code=CloseCode.BANNED)

    def apply(self, entries: Sequence[AuditEntry]) -> None:
        """Apply the entries of a commit, after its events and answers were sent."""
        for entry in entries:
            try:
                self._apply(entry)
            except Exception:  # the later entries still apply
                log.exception("cannot apply the audit entry %d (%s)", entry.seq, entry.act)

    def _apply(self, entry: AuditEntry) -> None:
        self._banned.apply(entry)
        self._applied += 1
        user = entry.user
        if user is None:
            if entry.act == "banned":
                self._end_banned_addresses()
        elif error := ending(entry):
            device = entry.device if entry.act == "device_revoked" else None
            self._end(lambda each: _is_of(each, user, device), error)
        elif entry.act in OWN_CHANGES:
            if entry.act == "role":
                self._run(self._send_role(user))
            if self._channels.sessions_of(user.name):
                self._run(self._notify(user, entry))

    def _end_banned_addresses(self) -> None:
        self.ended += 1
        now = _now()
        for session in self._sessions():
            if ban := self._banned.covering(session.connection.address, now):
                session.end(banned(ban, now))
        for connection in tuple(self._connections):  # `/echo`, `/counter`, and handshakes
            if ban := self._banned.covering(connection.address, now):
                connection.end(CloseCode.BANNED, close_reason(banned(ban, now).message))

    def _end(self, is_meant: Callable[[LiveSession], bool], error: CommandError) -> None:
        self.ended += 1
        for session in self._sessions():
            if is_meant(session):
                session.end(error)

    # Notices

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_role(self, user: User) -> None:
        """Send the user's role in `#general`, which follows from the role on the server."""
        try:
            found = await self._reads.welcome(lambda reader: reader.membership(user, GENERAL))
        except CommandError:  # no member, or disabled meanwhile
            return
        if live := self._channels.channel(GENERAL):
            live.send_roles({user.name: found.role})

    async def _notify(self, user: User, entry: AuditEntry) -> None:
        """Send the changed account to the user's sessions, except that of a new device."""
        try:
            account = await self._reads.welcome(
                lambda reader: reader.accounts.account(user, user.name)
            )
        except CommandError:  # erased or disabled meanwhile, or the disk cannot be read
            return
        device = None
        if entry.act == "device_added" and entry.device is not None:
            label = entry.details.get("label", "")
            device = frames.Device(id=entry.device, label=label, created=entry.ts)
        info = account_info(account, is_own=True)
        changer = entry.actor.device if entry.actor is not None else None
        for session in self._channels.sessions_of(user.name):
            if device is not None and session.user.device == entry.device:
                continue
            is_password = entry.act in PASSWORD_CHANGES and session.user.device != changer
            session.send(frames.Account(account=info, device=device, password_changed=is_password))


def account_info(account: Account, *, is_own: bool) -> frames.AccountInfo:
    """Return an account as a user may see it: `has_password` only in their own."""
    return frames.AccountInfo(
        name=account.user.name,
        role=account.role,
        created=account.created,
        seen=account.seen,
        disabled=account.disabled,
        banned=account.banned,
        has_password=is_own and account.has_password,
    )


def _is_of(session: LiveSession, user: User, device: int | None = None) -> bool:
    return (
        session.is_signed_in
        and session.user.id == user.id
        and device in (None, session.user.device)
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
