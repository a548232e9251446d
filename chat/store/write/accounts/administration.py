"""Rules of administration: accounts, roles, invitations, bans, settings.

Each act and its entry in the audit log are one transaction. Rights are those of this moment, so of
two admins who demote each other at once, one remains.
"""

from __future__ import annotations

import json

from sqlalchemy import BindParameter, bindparam, delete, false, func, insert, or_, select, update

from chat.errors import CommandError, ErrorCode
from chat.rights import OWNER
from chat.store.accounts import (
    ADMIN,
    BANS_MAX,
    BOT,
    CLOSED,
    Account,
    AddAccount,
    AddBan,
    Ban,
    BannedNetworks,
    ChangeAccount,
    Created,
    CreateInvitation,
    LiftBan,
    RecordAct,
    RecordSettings,
    RevokeInvitation,
)
from chat.store.codes import invitation_hash, new_invitation_code
from chat.store.operations import User
from chat.store.read.accounts import (
    SETTINGS,
    check_is_admin,
    find_account,
    find_invitation,
    recorded_settings,
)
from chat.store.read.standing import banned_networks
from chat.store.rights import name_unavailable
from chat.store.schema import bans, invitation_uses, invitations, meta, users
from chat.store.sql import Prepared
from chat.store.write.access import find_user
from chat.store.write.accounts.sign_in import (
    check_name_is_available,
    is_reserved,
    remove_password,
)
from chat.store.write.channels.membership import check_may_create, enter
from chat.store.write.channels.ownership import pass_on_later
from chat.store.write.transaction import Transaction
from chat.text import check_name, fold, is_direct

__all__ = [
    "add_account",
    "add_ban",
    "change_account",
    "check_is_not_last_admin",
    "create_invitation",
    "lift_ban",
    "record_act",
    "record_settings",
    "revoke_invitation",
    "revoke_invitations_of",
]

_of_user: BindParameter[int] = bindparam("user")
_ADD_INVITATION = Prepared(
    insert(invitations).returning(invitations.c.id),
    columns=[each.name for each in invitations.c if each.name not in ("id", "revoked")],
)
_REVOKE_INVITATION = Prepared(
    update(invitations)
    .where(invitations.c.id == bindparam("invitation"))
    .values(revoked=bindparam("now"))
)
_VALID_INVITATIONS = Prepared(
    select(invitations.c.id).where(
        invitations.c.by_id == _of_user,
        invitations.c.revoked.is_(None),
        invitations.c.expires > bindparam("now"),
        invitations.c.uses
        > select(func.count())
        .where(invitation_uses.c.invitation_id == invitations.c.id)
        .scalar_subquery(),
    )
)
_SET_ROLE = Prepared(update(users).where(users.c.id == _of_user).values(role=bindparam("new")))
_SET_DISABLED = Prepared(
    update(users).where(users.c.id == _of_user).values(disabled=bindparam("since"))
)
_is_of = or_(bans.c.user_id == _of_user, bans.c.network == bindparam("network"))
_BAN = Prepared(
    select(bans, users.c.name.label("by_name"))
    .join_from(bans, users, users.c.id == bans.c.by_id, isouter=True)
    .where(_is_of)
)
_BANS = Prepared(select(func.count()).select_from(bans))
_REMOVE_BAN = Prepared(delete(bans).where(_is_of))
_ADD_BAN = Prepared(insert(bans), columns=[each.name for each in bans.c if each.name != "id"])
_ADMINS = Prepared(
    select(users.c.id)
    .join_from(users, bans, bans.c.user_id == users.c.id, isouter=True)
    .where(
        users.c.role == ADMIN,
        users.c.disabled.is_(None),
        users.c.is_erased == false(),
        or_(bans.c.id.is_(None), bans.c.until <= bindparam("now")),
    )
)
_REMOVE_META = Prepared(delete(meta).where(meta.c.key == bindparam("name")))
_ADD_META = Prepared(insert(meta))


def _check_is_admin(transaction: Transaction, actor: User | None) -> None:
    if actor is not None:
        transaction.flush()
        check_is_admin(transaction.connection, actor)


def check_is_not_last_admin(transaction: Transaction, user: User, now: int) -> None:
    """Refuse to stop the only admin who can still act.

    Raises:
        CommandError: last_admin.
    """
    if [row.id for row in transaction.execute(_ADMINS, now=now)] == [user.id]:
        raise CommandError(
            ErrorCode.LAST_ADMIN,
            f"{user.name} is the last admin of this server: make another user an admin first",
        )


# Accounts


def add_account(transaction: Transaction, operation: AddAccount) -> Account:
    """Add an account without a device."""
    name, now = operation.name, transaction.now()
    try:
        check_name(name, transaction.limits.name)
    except ValueError as exc:
        raise CommandError(ErrorCode.INVALID, f"name: {exc}", field="name") from None
    if transaction.lookups.people([name]):
        raise CommandError(ErrorCode.NAME_TAKEN, f"the name {name} is taken", field="name")
    _explain_unavailable(transaction, name, operation.reserved)
    check_name_is_available(transaction, name, operation.reserved)
    user = transaction.add_user(name, now, role=operation.role, arrived=False)
    transaction.record(
        "created", now, actor=None, user=user, details={"how": "operator", "role": operation.role}
    )
    transaction.flush()
    return find_account(transaction.connection, name, now)


def _explain_unavailable(transaction: Transaction, name: str, reserved: frozenset[str]) -> None:
    """Refuse a name, and state the reason to the operator only."""
    if is_reserved(name, reserved):
        reason = "is reserved"
    elif transaction.lookups.is_erased_name(name):
        reason = "belonged to an account that was erased"
    else:
        return
    raise CommandError(
        ErrorCode.NAME_UNAVAILABLE, f"the name {name} {reason}: choose another", field="name"
    )


def change_account(transaction: Transaction, operation: ChangeAccount) -> Account:
    """Change an account's role, or disable or enable it."""
    actor, role, disabled = operation.actor, operation.role, operation.disabled
    _check_is_admin(transaction, actor)
    now, user = transaction.now(), find_user(transaction, operation.name)
    transaction.flush()
    before = find_account(transaction.connection, operation.name, now)
    if (role not in (None, ADMIN) and before.role == ADMIN) or (disabled and not before.disabled):
        check_is_not_last_admin(transaction, user, now)
    if role is not None and role != before.role:
        transaction.execute(_SET_ROLE, user=user.id, new=role)
        transaction.record(
            "role", now, actor=actor, user=user, details={"role": role, "before": before.role}
        )
        if before.role == ADMIN:
            revoke_invitations_of(transaction, actor, user, now)
        if role == BOT:
            remove_password(transaction, actor, user)
            pass_on_later(transaction, user)
    if disabled is not None and disabled != before.disabled:
        transaction.execute(_SET_DISABLED, user=user.id, since=now if disabled else None)
        transaction.record("disabled" if disabled else "enabled", now, actor=actor, user=user)
        if disabled:
            revoke_invitations_of(transaction, actor, user, now)
            pass_on_later(transaction, user)
    transaction.account_changed(user)
    return find_account(transaction.connection, operation.name, now)


# Invitations


def create_invitation(transaction: Transaction, operation: CreateInvitation) -> Created:
    """Create an invitation, and those of its channels that do not exist."""
    actor = operation.actor
    _check_is_admin(transaction, actor)
    is_closed = recorded_settings(transaction.connection).get("registration") == "closed"
    if is_closed and actor is not None:  # the operator may be about to open it
        raise CommandError(ErrorCode.REGISTRATION_CLOSED, CLOSED)
    names = _invited_to(transaction, actor, operation.channels)
    now, code = transaction.now(), new_invitation_code()
    expires = now + operation.seconds * 1_000
    invitation_id = transaction.scalar(
        _ADD_INVITATION,
        hash=invitation_hash(code),
        created=now,
        expires=expires,
        uses=operation.uses,
        role=operation.role,
        channels=json.dumps(names, ensure_ascii=False),
        by_id=actor.id if actor is not None else None,
    )
    transaction.record(
        "invitation_created",
        now,
        actor=actor,
        details={
            "invitation": invitation_id,
            "uses": operation.uses,
            "expires": expires,
            "role": operation.role,
            "channels": " ".join(names) or None,
        },
    )
    found = find_invitation(transaction.connection, invitation_id)
    assert found is not None
    return Created(found, code)


def _invited_to(
    transaction: Transaction, actor: User | None, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the stored names of public channels; create those that do not exist.

    An admin who creates channels owns them; the first member of one that the operator creates owns
    it. The name of a private channel is refused like one that cannot be used.
    """
    lookups = transaction.lookups
    # Everything is checked before the first channel is created: a refusal changes nothing.
    for name in names:
        if is_direct(name):
            raise CommandError(
                ErrorCode.INVALID, f"{name} is not a public channel", field="channels"
            )
    found = {fold(name): (name, lookups.channel(name)) for name in names}
    missing = [name for name, channel in found.values() if channel is None]
    private = [name for name, channel in found.values() if channel and channel.is_private]
    if actor is not None:
        check_may_create(transaction, actor, len(missing) + len(private))
    if private:
        raise name_unavailable(private[0])
    for name in missing:
        channel = transaction.add_channel(name)
        if actor is not None:
            enter(transaction, channel, actor, OWNER)
    stored = (lookups.channel(name) for name in names)
    return tuple({each.id: each.name for each in stored if each is not None}.values())


def revoke_invitation(transaction: Transaction, operation: RevokeInvitation) -> None:
    """Revoke an invitation; nothing happens if it was revoked before."""
    _check_is_admin(transaction, operation.actor)
    transaction.flush()
    found = find_invitation(transaction.connection, operation.invitation)
    if found is None:
        raise CommandError(
            ErrorCode.NO_SUCH_INVITATION, f"there is no invitation {operation.invitation}"
        )
    if not found.revoked:
        _revoke(transaction, operation.actor, found.id, transaction.now())


def revoke_invitations_of(
    transaction: Transaction, actor: User | None, user: User, now: int
) -> None:
    """Revoke the valid invitations of an admin who loses the role or is stopped.

    Otherwise they could sign up again under a new name, or as an admin.
    """
    for row in transaction.execute(_VALID_INVITATIONS, user=user.id, now=now):
        _revoke(transaction, actor, row.id, now)


def _revoke(transaction: Transaction, actor: User | None, invitation: int, now: int) -> None:
    transaction.execute(_REVOKE_INVITATION, invitation=invitation, now=now)
    transaction.record("invitation_revoked", now, actor=actor, details={"invitation": invitation})


# Bans


def add_ban(transaction: Transaction, operation: AddBan) -> Ban | None:
    """Ban an account or a network; return the ban in force that this one replaces."""
    actor, until, reason = operation.actor, operation.until, operation.reason
    _check_is_admin(transaction, actor)
    now = transaction.now()
    if until is not None and until <= now:
        raise CommandError(ErrorCode.INVALID, "until: must be in the future", field="until")
    user = find_user(transaction, operation.name) if operation.name is not None else None
    if user is not None:
        check_is_not_last_admin(transaction, user, now)
    if not operation.force:
        _check_needs_no_force(operation, user)
    network = str(operation.network) if operation.network is not None else None
    whom = {"user": user.id if user is not None else None, "network": network}
    before = transaction.first(_BAN, **whom)
    replaced = None
    if before is not None and (before.until is None or before.until > now):
        by = User(before.by_id, before.by_name) if before.by_id is not None else None
        replaced = Ban(
            before.id, user, operation.network, before.created, before.until, before.reason, by
        )
    if before is not None and (before.until, before.reason) == (until, reason):
        return replaced
    if before is None and (transaction.scalar(_BANS) or 0) >= BANS_MAX:
        raise CommandError(
            ErrorCode.LIMIT_REACHED, f"there are {BANS_MAX:,} bans, the maximum: lift one first"
        )
    transaction.execute(_REMOVE_BAN, **whom)
    transaction.execute(
        _ADD_BAN,
        user_id=whom["user"],
        network=network,
        created=now,
        until=until,
        reason=reason,
        by_id=actor.id if actor is not None else None,
    )
    transaction.account_changed(user)
    transaction.record(
        "banned",
        now,
        actor=actor,
        user=user,
        details={"network": network, "until": until, "reason": reason or None},
    )
    if user is not None:
        revoke_invitations_of(transaction, actor, user, now)
        pass_on_later(transaction, user)
    return replaced


def _check_needs_no_force(operation: AddBan, user: User | None) -> None:
    """Refuse a ban of loopback, of a trusted proxy, or of the actor."""
    actor, network = operation.actor, operation.network
    whom = None
    if user is not None and actor is not None and user.id == actor.id:
        whom = "yourself"
    elif network is not None:
        if actor is not None and _covers_actor(operation):
            whom = "your own address"
        elif any(
            network.version == each.version and network.overlaps(each)
            for each in operation.protected
        ):
            whom = "loopback or a trusted proxy"
    if whom is not None:
        raise CommandError(
            ErrorCode.NEEDS_FORCE, f"the ban covers {whom}; use force to ban it anyway"
        )


def _covers_actor(operation: AddBan) -> bool:
    actor = operation.actor
    if actor is None or actor.address is None:
        return False
    ban = Ban(0, None, operation.network, 0, None, "", None)
    return BannedNetworks([ban]).covering(actor.address, 0) is not None


def lift_ban(transaction: Transaction, operation: LiftBan) -> None:
    """Lift a ban of exactly this account or network."""
    actor = operation.actor
    _check_is_admin(transaction, actor)
    now = transaction.now()
    user = find_user(transaction, operation.name) if operation.name is not None else None
    network = str(operation.network) if operation.network is not None else None
    whom = {"user": user.id if user is not None else None, "network": network}
    ban = transaction.first(_BAN, **whom)
    if ban is None or (ban.until is not None and ban.until <= now):
        whose = user.name if user is not None else network
        raise CommandError(
            ErrorCode.NO_SUCH_BAN, f"{whose} is not banned{_covering(transaction, operation, now)}"
        )
    transaction.execute(_REMOVE_BAN, **whom)
    transaction.account_changed(user)
    transaction.record("unbanned", now, actor=actor, user=user, details={"network": network})


def _covering(transaction: Transaction, operation: LiftBan, now: int) -> str:
    """Return which ban of another network covers the network of the operation; or nothing."""
    if operation.network is None:
        return ""
    banned = banned_networks(transaction.connection)
    ban = banned.covering(str(operation.network.network_address), now)
    return f" itself, but {ban.network} is: lift the ban of {ban.network}" if ban else ""


# Settings and files


def record_act(transaction: Transaction, operation: RecordAct) -> None:
    """Record that the operator exported an account, or made or restored a backup."""
    user = find_user(transaction, operation.name) if operation.name is not None else None
    details = {"file": operation.file}
    transaction.record(operation.act, transaction.now(), actor=None, user=user, details=details)


def record_settings(transaction: Transaction, operation: RecordSettings) -> None:
    """Record the settings that differ from those of the last start."""
    before = recorded_settings(transaction.connection)
    settings = dict(operation.settings)
    if settings == before:
        return
    changed = {name: value for name, value in settings.items() if before.get(name) != value}
    transaction.execute(_REMOVE_META, name=SETTINGS)
    transaction.execute(
        _ADD_META, key=SETTINGS, value=json.dumps(settings, ensure_ascii=False, sort_keys=True)
    )
    transaction.record("settings", transaction.now(), actor=None, details=changed)
