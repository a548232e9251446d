"""Handle the commands for accounts, devices, invitations, bans, and the audit log.

The store checks the user's right to each in the transaction or snapshot, as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from chat.errors import CommandError, ErrorCode
from chat.protocol import commands, frames
from chat.protocol.frames import Ok
from chat.server.administration import account_info
from chat.server.handlers import moderation
from chat.server.passwords import check_new_password
from chat.server.transport.limits import LOOPBACK, network_text, source_of
from chat.server.writes import Write, commit
from chat.store import accounts as store
from chat.store.operations import Appended, AuditEntry, Operation, User
from chat.store.read.reader import Reader
from chat.text import fold

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = [
    "account",
    "audit",
    "ban",
    "bans",
    "devices",
    "invitation",
    "invitations",
    "link",
    "password",
    "revoke",
    "unban",
    "users",
]

T = TypeVar("T")


# One's own account


async def devices(session: Session, command: commands.ListDevices) -> frames.Devices:
    """List the user's devices."""
    user = session.user

    def query(reader: Reader) -> tuple[store.Device, ...]:
        reader.accounts.check_standing(user)
        return reader.accounts.devices(user)

    found = await _read(session, query)
    return frames.Devices(
        id=command.id, devices=tuple(_device(each, user.device) for each in found)
    )


def revoke(session: Session, command: commands.Revoke) -> Write[None]:
    """Revoke one of the user's devices, or an invitation."""
    user = session.user
    if command.device is not None:
        return _done(command, store.RevokeDevice(user, user.name, command.device))
    assert command.invitation is not None, "the model has checked it"
    return _done(command, store.RevokeInvitation(user, command.invitation))


def link(session: Session, command: commands.CreateLink) -> Write[store.LinkCode]:
    """Create a link code for another device of the user."""
    return Write(
        store.CreateLink(session.user, session.user.name),
        lambda made: frames.LinkCode(id=command.id, code=made.code, expires=made.expires),
    )


async def password(session: Session, command: commands.SetPassword) -> Ok:
    """Set, change or remove the user's password."""
    context, user = session.context, session.user
    if command.password is not None:
        check_new_password(command.password)
    passwords, source = context.passwords, source_of(session.connection.address)
    account = await _read(session, lambda reader: reader.accounts.account_to_verify(user.name))
    expected = account.password_hash if account is not None else None
    if expected is not None and (
        command.current is None
        or not await passwords.verify(
            passwords.attempt(account=fold(user.name), address=source), expected, command.current
        )
    ):
        raise CommandError(
            ErrorCode.BAD_PASSWORD,
            "the current password is wrong: try again, or sign in on other devices with link codes",
            field="current",
        )
    new = None
    if command.password is not None:
        new = await passwords.hash(command.password, account=fold(user.name), address=source)
    await commit(context.store, store.SetPassword(user, user.name, expected, new))
    return Ok.known(id=command.id)


# Accounts


def account(
    session: Session, command: commands.AccountCommand
) -> Write[store.Account] | Coroutine[Any, Any, frames.Account]:
    """Read an account, or change it as an admin."""
    if command.role is None and command.disabled is None:
        return _read_account(session, command)
    operation = store.ChangeAccount(
        session.user, command.name, role=command.role, disabled=command.disabled
    )
    own = session.user.id

    def answer(changed: store.Account) -> frames.Account:
        info = account_info(changed, is_own=changed.user.id == own)
        return frames.Account(id=command.id, account=info)

    return Write(operation, answer)


async def _read_account(session: Session, command: commands.AccountCommand) -> frames.Account:
    user, name = session.user, command.name
    found = await _read(session, lambda reader: reader.accounts.account(user, name))
    return frames.Account(
        id=command.id, account=account_info(found, is_own=found.user.id == user.id)
    )


async def users(session: Session, command: commands.ListUsers) -> frames.Users:
    """List all accounts, for admins."""
    user, limit = session.user, session.context.settings.limits.page
    found, cursor = await _read(
        session, lambda reader: reader.accounts.page(user, cursor=command.cursor, limit=limit)
    )
    infos = tuple(account_info(each, is_own=False) for each in found)
    return frames.Users(id=command.id, users=infos, cursor=cursor)


# Invitations


def invitation(session: Session, command: commands.CreateInvitation) -> Write[store.Created]:
    """Create an invitation, as an admin."""
    operation = store.CreateInvitation(
        session.user,
        uses=command.uses,
        seconds=command.expires,
        role=command.role,
        channels=command.channels,
    )
    return Write(
        operation,
        lambda created: frames.InvitationFrame(
            id=command.id, code=created.code, invitation=_invitation(created.invitation)
        ),
    )


async def invitations(session: Session, command: commands.ListInvitations) -> frames.Invitations:
    """List the invitations, for admins."""
    user, limit = session.user, session.context.settings.limits.page
    found, cursor = await _read(
        session,
        lambda reader: reader.accounts.invitations(user, cursor=command.cursor, limit=limit),
    )
    return frames.Invitations(
        id=command.id, invitations=tuple(map(_invitation, found)), cursor=cursor
    )


# Bans and the audit log


def ban(session: Session, command: commands.Ban) -> Write[store.Ban | None] | Write[Appended]:
    """Ban an account or a network from the server, as an admin; or a user from a channel."""
    if command.channel is not None:
        return moderation.ban(session, command, command.channel)
    operation = store.AddBan(
        session.user,
        command.name,
        _network(command.address),
        command.until,
        command.reason,
        command.force,
        protected=(*LOOPBACK, *session.context.settings.trusted_proxy),
    )
    return Write(
        operation,
        lambda replaced: Ok.known(id=command.id, replaced=replaced and _ban(replaced)),
    )


def unban(session: Session, command: commands.Unban) -> Write[None] | Write[Appended]:
    """Lift a ban."""
    if command.channel is not None:
        return moderation.unban(session, command, command.channel)
    return _done(command, store.LiftBan(session.user, command.name, _network(command.address)))


async def bans(session: Session, command: commands.ListBans) -> frames.Bans:
    """List the bans in force."""
    if command.channel is not None:
        return await moderation.bans(session, command, command.channel)
    user, limit = session.user, session.context.settings.limits.page
    found, cursor = await _read(
        session, lambda reader: reader.accounts.bans(user, cursor=command.cursor, limit=limit)
    )
    return frames.Bans(id=command.id, bans=tuple(map(_ban, found)), cursor=cursor)


async def audit(session: Session, command: commands.ReadAudit) -> frames.Audit:
    """Read a page of the audit log, for admins."""
    user, limit = session.user, min(command.limit, session.context.settings.limits.page)
    page = await _read(
        session, lambda reader: reader.accounts.audit(user, before=command.before, limit=limit)
    )
    return frames.Audit(
        id=command.id, entries=tuple(map(_entry, page.entries)), complete=page.complete
    )


async def _read(session: Session, query: Callable[[Reader], T]) -> T:
    return await session.context.reads.log(session.connection, session.user, query)


# Frames


def _done(command: commands.BaseCommand, operation: Operation[T]) -> Write[T]:
    return Write(operation, lambda _: Ok.known(id=command.id))


def _name(user: User | None) -> str | None:
    return None if user is None else user.name


def _device(device: store.Device, current: int) -> frames.Device:
    return frames.Device(
        id=device.id,
        label=device.label,
        created=device.created,
        seen=device.seen,
        current=device.id == current,
    )


def _invitation(made: store.Invitation) -> frames.Invitation:
    return frames.Invitation(
        id=made.id,
        created=made.created,
        expires=made.expires,
        uses=made.uses,
        used=made.used,
        role=made.role,
        channels=made.channels,
        by=_name(made.by),
        revoked=made.revoked,
    )


def _ban(ban: store.Ban) -> frames.BanInfo:
    return frames.BanInfo(
        id=ban.id,
        name=_name(ban.user),
        address=None if ban.network is None else network_text(ban.network),
        created=ban.created,
        until=ban.until,
        reason=ban.reason,
        by=_name(ban.by),
    )


def _entry(entry: AuditEntry) -> frames.AuditEntry:
    return frames.AuditEntry(
        seq=entry.seq,
        ts=entry.ts,
        act=entry.act,
        by=_name(entry.actor),
        user=_name(entry.user),
        address=entry.address,
        details=dict(entry.details),
    )


def _network(address: str | None) -> store.Network | None:
    if address is None:
        return None
    try:
        return store.network_of(address)
    except ValueError:
        raise CommandError(
            ErrorCode.INVALID,
            f"address: {address!r} is not an address or a network, such as 192.0.2.7 or"
            " 2001:db8::/32",
            field="address",
        ) from None
