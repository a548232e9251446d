"""Read accounts, devices, invitations, bans and the audit log.

`viewer` is the user who reads, or None for the operator's command line. Lists are for admins.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, false, func, or_, select

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import (
    ADMIN,
    Account,
    AuditPage,
    Ban,
    BannedNetworks,
    Device,
    Invitation,
)
from chat.store.operations import AuditEntry, User
from chat.store.read.standing import Standings, banned_networks
from chat.store.schema import (
    audit,
    bans,
    devices,
    events,
    invitation_uses,
    invitations,
    is_unerased,
    jobs,
    meta,
    passwords,
    users,
)
from chat.store.sql import Prepared
from chat.text import fold

__all__ = [
    "SETTINGS",
    "AccountReader",
    "audit_after",
    "check_is_admin",
    "find_account",
    "find_invitation",
    "recorded_settings",
]

SETTINGS = "settings"
"""The key in `meta` of the settings that the server recorded at its last start, as JSON."""

_actors = users.alias("actors")
_bigint = users.c.created.type
_count = bindparam("count", type_=_bigint)
_before = bindparam("before", type_=_bigint)
_now = bindparam("now", type_=_bigint)

_IN_FORCE = or_(bans.c.until.is_(None), bans.c.until > _now)
_accounts = select(
    users.c.fold,
    users.c.id,
    users.c.name,
    users.c.role,
    users.c.created,
    select(func.max(devices.c.seen))
    .where(devices.c.user_id == users.c.id)
    .scalar_subquery()
    .label("seen"),
    users.c.disabled.is_not(None).label("is_disabled"),
    exists().where(bans.c.user_id == users.c.id, _IN_FORCE).label("is_banned"),
    passwords.c.hash,
).join_from(users, passwords, passwords.c.user_id == users.c.id, isouter=True)
_ACCOUNT = Prepared(
    _accounts.where(users.c.fold == bindparam("fold"), users.c.is_erased == false())
)
_ACCOUNTS = Prepared(
    _accounts.where(users.c.fold > bindparam("cursor"), users.c.is_erased == false())
    .order_by(users.c.fold)
    .limit(_count)
)
_ROLE = Prepared(select(users.c.role).where(users.c.id == bindparam("user")))
_DEVICES = Prepared(
    select(devices.c.id, devices.c.label, devices.c.created, devices.c.seen)
    .where(devices.c.user_id == bindparam("user"), devices.c.revoked.is_(None))
    .order_by(devices.c.id.desc())
)
_HASHES = Prepared(
    select(devices.c.hash).where(
        devices.c.user_id == bindparam("user"), devices.c.revoked.is_(None)
    )
)
_invitations = select(
    invitations,
    select(func.count())
    .where(invitation_uses.c.invitation_id == invitations.c.id)
    .scalar_subquery()
    .label("used"),
    users.c.name.label("by_name"),
).join_from(invitations, users, users.c.id == invitations.c.by_id, isouter=True)
_INVITATION = Prepared(_invitations.where(invitations.c.id == bindparam("invitation")))
_INVITATION_BY_HASH = Prepared(_invitations.where(invitations.c.hash == bindparam("hash")))
_INVITATIONS = Prepared(
    _invitations.where(invitations.c.id < _before).order_by(invitations.c.id.desc()).limit(_count)
)
_BANS = Prepared(
    select(
        bans.c.id,
        users.c.id.label("user_id"),
        users.c.name,
        bans.c.network,
        bans.c.created,
        bans.c.until,
        bans.c.reason,
        bans.c.by_id,
        _actors.c.name.label("by_name"),
    )
    .join_from(bans, users, users.c.id == bans.c.user_id, isouter=True)
    .join(_actors, _actors.c.id == bans.c.by_id, isouter=True)
    .where(bans.c.id < _before, _IN_FORCE)
    .order_by(bans.c.id.desc())
    .limit(_count)
)


def _entries() -> Select[Any]:
    return (
        select(
            audit,
            _actors.c.name.label("actor_name"),
            users.c.name.label("user_name"),
        )
        .join_from(audit, _actors, _actors.c.id == audit.c.actor_id, isouter=True)
        .join(users, users.c.id == audit.c.user_id, isouter=True)
    )


_AUDIT = Prepared(
    _entries().where(audit.c.seq < _before).order_by(audit.c.seq.desc()).limit(_count)
)
_MESSAGES = Prepared(
    select(func.count())
    .select_from(events)
    .where(events.c.author_id == bindparam("user"), is_unerased("message"))
)
_AUDIT_AFTER = Prepared(_entries().where(audit.c.seq > bindparam("after")).order_by(audit.c.seq))
_UNFINISHED = Prepared(select(jobs.c.id).where(jobs.c.result.is_(None)).limit(1))
_RESULT = Prepared(select(jobs.c.result).where(jobs.c.id == bindparam("job")))
_META = Prepared(select(meta.c.value).where(meta.c.key == bindparam("name")))
_BEYOND = 2**63 - 1


class AccountReader:
    """Reads accounts from one snapshot; `Reader.accounts` returns it."""

    def __init__(
        self, connection: Connection, standings: Standings, clock_ms: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._standings = standings
        self._clock_ms = clock_ms

    def check_standing(self, user: User) -> None:
        """Check the session of `user`, as every operation and read of it does.

        Raises:
            CommandError: banned, disabled, revoked; the message is for the user.
        """
        self._standings.check(self._connection, user)

    def settings(self) -> dict[str, str]:
        """Return the settings that the server recorded at its last start."""
        return recorded_settings(self._connection)

    def account_to_verify(self, name: str) -> Account | None:
        """Return the account `name` with its password hash, or None; for sign-ins only."""
        row = _ACCOUNT.first(self._connection, fold=fold(name), now=self._clock_ms())
        return _account(row) if row is not None else None

    def has_token(self, user: User, token_hash: bytes) -> bool:
        """Whether a device of `user` has this token; the duration does not reveal a match."""
        hashes = _HASHES.all(self._connection, user=user.id)
        return sum(hmac.compare_digest(each.hash, token_hash) for each in hashes) > 0

    def account(self, viewer: User | None, name: str) -> Account:
        """Return an account.

        `has_password` is set only for the viewer's own account, `disabled` and `banned` only for
        admins.

        Raises:
            CommandError: no_such_user.
        """
        is_admin = self._is_admin(viewer)
        found = find_account(self._connection, name, self._clock_ms())
        is_own = viewer is None or viewer.id == found.user.id
        return replace(
            found,
            has_password=found.has_password and is_own,
            disabled=found.disabled and is_admin,
            banned=found.banned and is_admin,
        )

    def page(
        self, viewer: User | None, *, cursor: str | None, limit: int
    ) -> tuple[tuple[Account, ...], str | None]:
        """Return a page of accounts by name, and the cursor of the next page.

        Raises:
            CommandError: forbidden.
        """
        self._check_is_admin(viewer)
        rows = _ACCOUNTS.all(
            self._connection, cursor=cursor or "", count=limit + 1, now=self._clock_ms()
        )
        found = tuple(
            replace(_account(row), password_hash=None, has_password=False) for row in rows[:limit]
        )
        return found, rows[limit - 1].fold if len(rows) > limit else None

    def devices(self, user: User) -> tuple[Device, ...]:
        """Return the devices of `user` that are not revoked, newest first."""
        return tuple(Device(*row) for row in _DEVICES.all(self._connection, user=user.id))

    def count_messages(self, user: User) -> int:
        """Return how many messages a user has written, without those that were deleted."""
        return int(_MESSAGES.scalar(self._connection, user=user.id) or 0)

    def invitations(
        self, viewer: User | None, *, cursor: int | None, limit: int
    ) -> tuple[tuple[Invitation, ...], int | None]:
        """Return a page of invitations, newest first, and the cursor of the next page.

        Raises:
            CommandError: forbidden.
        """
        self._check_is_admin(viewer)
        rows, following = self._paged(_INVITATIONS, cursor, limit)
        return tuple(map(_invitation, rows)), following

    def bans(
        self, viewer: User | None, *, cursor: int | None, limit: int
    ) -> tuple[tuple[Ban, ...], int | None]:
        """Return a page of the bans in force, newest first, and the cursor of the next page.

        Raises:
            CommandError: forbidden.
        """
        self._check_is_admin(viewer)
        rows, following = self._paged(_BANS, cursor, limit, now=self._clock_ms())
        return tuple(map(_ban, rows)), following

    def banned_networks(self) -> BannedNetworks:
        """Return the banned networks.

        A server reads them once, after opening the store, to refuse handshakes from memory, and
        applies the audit entries of each commit (`BannedNetworks.apply`). A commit may have entries
        that this snapshot already contains; applying them again changes nothing.
        """
        return banned_networks(self._connection)

    def audit(self, viewer: User | None, *, before: int | None, limit: int) -> AuditPage:
        """Return the entries before a seq, newest first.

        Raises:
            CommandError: forbidden.
        """
        self._check_is_admin(viewer)
        rows = _AUDIT.all(self._connection, before=before or _BEYOND, count=limit + 1)
        return AuditPage(tuple(map(_entry, rows[:limit])), complete=len(rows) <= limit)

    def has_jobs(self) -> bool:
        """Whether a job is not done."""
        return _UNFINISHED.scalar(self._connection) is not None

    def is_done(self, job: int) -> bool:
        """Whether this job is done."""
        return _RESULT.scalar(self._connection, job=job) is not None

    def _is_admin(self, viewer: User | None) -> bool:
        if viewer is None:
            return True
        self.check_standing(viewer)
        return bool(_ROLE.scalar(self._connection, user=viewer.id) == ADMIN)

    def _check_is_admin(self, viewer: User | None) -> None:
        if viewer is not None:
            self.check_standing(viewer)
            check_is_admin(self._connection, viewer)

    def _paged(
        self, statement: Prepared, cursor: int | None, limit: int, **where: object
    ) -> tuple[Sequence[Any], int | None]:
        rows = statement.all(self._connection, before=cursor or _BEYOND, count=limit + 1, **where)
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def check_is_admin(connection: Connection, user: User) -> None:
    """Check that the user is an admin.

    Raises:
        CommandError: forbidden.
    """
    if _ROLE.scalar(connection, user=user.id) != ADMIN:
        raise CommandError(ErrorCode.FORBIDDEN, "only the admins of this server may do this")


def find_account(connection: Connection, name: str, now: int) -> Account:
    """Return the account `name`, without its password hash.

    Raises:
        CommandError: no_such_user.
    """
    row = _ACCOUNT.first(connection, fold=fold(name), now=now)
    if row is None:
        raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user “{name}”", field="name")
    return replace(_account(row), password_hash=None)


def find_invitation(
    connection: Connection, invitation: int | None = None, *, code_hash: bytes = b""
) -> Invitation | None:
    """Return an invitation by its id, or by the hash of its code."""
    if invitation is None:
        row = _INVITATION_BY_HASH.first(connection, hash=code_hash)
    else:
        row = _INVITATION.first(connection, invitation=invitation)
    return _invitation(row) if row is not None else None


def recorded_settings(connection: Connection) -> dict[str, str]:
    """Return the settings that the server recorded at its last start; empty if it never ran."""
    stored = _META.scalar(connection, name=SETTINGS)
    found: dict[str, str] = json.loads(stored) if stored is not None else {}
    return found


def audit_after(connection: Connection, seq: int) -> list[AuditEntry]:
    """Return all entries after `seq`, in order."""
    return [_entry(row) for row in _AUDIT_AFTER.all(connection, after=seq)]


def _account(row: Any) -> Account:
    return Account(
        User(row.id, row.name),
        row.role,
        row.created,
        row.seen,
        bool(row.is_disabled),
        bool(row.is_banned),
        row.hash is not None,
        row.hash,
    )


def _invitation(row: Any) -> Invitation:
    return Invitation(
        row.id,
        row.created,
        row.expires,
        row.uses,
        row.used,
        row.role,
        tuple(json.loads(row.channels)),
        User(row.by_id, row.by_name) if row.by_id is not None else None,
        row.revoked is not None,
    )


def _ban(row: Any) -> Ban:
    return Ban(
        row.id,
        User(row.user_id, row.name) if row.user_id is not None else None,
        ip_network(row.network) if row.network is not None else None,
        row.created,
        row.until,
        row.reason,
        User(row.by_id, row.by_name) if row.by_id is not None else None,
    )


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        row.seq,
        row.ts,
        row.act,
        User(row.actor_id, row.actor_name) if row.actor_id is not None else None,
        User(row.user_id, row.user_name) if row.user_id is not None else None,
        row.device_id,
        row.address,
        json.loads(row.details),
    )
