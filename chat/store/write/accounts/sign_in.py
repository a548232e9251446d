"""Rules of signing in: names, devices, link codes, passwords.

A retried sign-in whose answer was lost changes nothing: its token is valid by then, and a valid
token wins over all codes.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, delete, insert, select, update

from chat.errors import CommandError, ErrorCode
from chat.protocol.limits import USUAL_LEVEL
from chat.rights import MEMBER
from chat.store.accounts import (
    BOT,
    DEVICES_MAX,
    LINK_TRIES,
    LINKS_PER_HOUR,
    RESERVED_NAMES,
    AccountRole,
    AddDevice,
    CreateLink,
    LinkCode,
    RevokeDevice,
    SetPassword,
    SignedIn,
    SignIn,
    network_of,
)
from chat.store.accounts import MEMBER as ACCOUNT_MEMBER
from chat.store.codes import invitation_hash, link_mac, new_link_code
from chat.store.operations import Membership, Preference, User
from chat.store.read.accounts import find_invitation
from chat.store.schema import devices, invitation_uses, links, passwords, users
from chat.store.sql import Prepared
from chat.store.write.access import find_user, role_in
from chat.store.write.channels.membership import enter, role_on_entry
from chat.store.write.lookups import Channel, KnownAccount, KnownDevice
from chat.store.write.transaction import Transaction
from chat.text import GENERAL, fold, is_invitation_code, is_link_code

__all__ = [
    "add_device",
    "check_name_is_available",
    "create_link",
    "is_reserved",
    "remove_password",
    "revoke_device",
    "set_password",
    "sign_in",
]

LINK_MS = 600_000
"""Milliseconds until a link code expires."""
_PLACEHOLDER = re.compile(r"deleted-[0-9]+")
"""Names that remain of erased accounts."""

_of_user: BindParameter[int] = bindparam("user")
_LINK = Prepared(
    select(links.c.mac, links.c.expires, links.c.tries).where(links.c.user_id == _of_user)
)
_ADD_LINK = Prepared(insert(links))
_COUNT_TRY = Prepared(
    update(links).where(links.c.user_id == _of_user).values(tries=links.c.tries + 1)
)
_REMOVE_LINK = Prepared(delete(links).where(links.c.user_id == _of_user))
_PASSWORD = Prepared(select(passwords.c.hash).where(passwords.c.user_id == _of_user))
_ADD_PASSWORD = Prepared(insert(passwords))
_REMOVE_PASSWORD = Prepared(delete(passwords).where(passwords.c.user_id == _of_user))
_USE_INVITATION = Prepared(insert(invitation_uses))
_SET_ARRIVED = Prepared(update(users).where(users.c.id == _of_user).values(arrived=True))
_DEVICE = Prepared(
    select(devices.c.label, devices.c.revoked).where(
        devices.c.id == bindparam("device"), devices.c.user_id == _of_user
    )
)
_REVOKE_DEVICE = Prepared(
    update(devices).where(devices.c.id == bindparam("device")).values(revoked=bindparam("now"))
)


def sign_in(transaction: Transaction, operation: SignIn) -> SignedIn:
    """Claim a new name, or sign in to an existing account."""
    transaction.check_address(operation.address)
    user = transaction.lookups.people([operation.name]).get(fold(operation.name))
    if user is None:
        return _claim(transaction, operation)
    account = transaction.lookups.account(user)
    device = _device_of(account, operation.token_hash)
    if device is None or device.is_revoked:
        how = _prove(transaction, operation, user, account, device)
        now = transaction.now()
        device_id = _add_device(
            transaction, user, operation.claim_hash, operation.label, how, now, operation.address
        )
        if how == "link":
            transaction.execute(_REMOVE_LINK, user=user.id)
    else:
        how, device_id = "", device.id
        session = User(user.id, user.name, device_id, operation.address)
        _check_standing(transaction, account, session)
        transaction.sightings[device_id] = transaction.now()
    session = User(user.id, user.name, device_id, operation.address)
    transaction.standings.trust(session)
    if not account.arrived:
        transaction.claim()
        transaction.execute(_SET_ARRIVED, user=user.id)
        account.arrived = True
        _arrive(transaction, user, ())
    return SignedIn(session, claimed=False, role=account.role, is_new_device=bool(how))


def _device_of(account: KnownAccount, token_hash: bytes | None) -> KnownDevice | None:
    """Return the device with this token; the duration does not reveal a match."""
    found = None
    if token_hash is not None:
        for stored, device in account.devices.items():
            if hmac.compare_digest(stored, token_hash):
                found = device
    return found


def _prove(
    transaction: Transaction,
    operation: SignIn,
    user: User,
    account: KnownAccount,
    device: KnownDevice | None,
) -> str:
    """Check the proof with which a new device signs in; return which one it is.

    Whether the account is disabled or banned is revealed only with a valid proof.
    """
    if device is not None:  # a link code must not give a revoked token back to a thief
        raise CommandError(
            ErrorCode.REVOKED,
            "this device was revoked: sign in with a link code or a password, and a new token",
            field="token",
        )
    if operation.invitation is not None:
        raise _name_taken(user)
    if operation.link is not None:
        is_valid = _is_link(transaction, user, operation.link)
        how, code = "link", ErrorCode.LINK_INVALID
    elif operation.password_hash is not None:
        stored = transaction.scalar(_PASSWORD, user=user.id)
        is_valid = stored is not None and hmac.compare_digest(
            stored.encode(), operation.password_hash.encode()
        )
        how, code = "password", ErrorCode.BAD_PASSWORD
    elif operation.token_hash is None:
        raise _name_taken(user)
    else:
        raise CommandError(
            ErrorCode.BAD_TOKEN,
            f"wrong token for {user.name}: choose another name, or ask the operator for a link code"
            f" (`chat-server link {user.name}`)",
            field="token",
        )
    if not is_valid:
        raise _NO_PROOF[code]()
    _check_standing(transaction, account, User(user.id, user.name, 0, operation.address))
    return how


def _name_taken(user: User) -> CommandError:
    return CommandError(
        ErrorCode.NAME_TAKEN,
        f"the name {user.name} is taken: choose another, or sign in with a link code (/link on a"
        f" device that is signed in, or the operator runs `chat-server link {user.name}`)",
        field="name",
    )


def _link_invalid() -> CommandError:
    return CommandError(
        ErrorCode.LINK_INVALID,
        "the link code is wrong, expired, already used, or replaced by a newer one: create another"
        " with /link on a device that is signed in",
        field="link",
    )


def _bad_password() -> CommandError:
    return CommandError(
        ErrorCode.BAD_PASSWORD,
        "wrong password, or the account has none: try again, or use a link code",
        field="password",
    )


_NO_PROOF = {ErrorCode.LINK_INVALID: _link_invalid, ErrorCode.BAD_PASSWORD: _bad_password}


def _valid_link(transaction: Transaction, user: User) -> Row[Any] | None:
    """Return the account's link code if it can still be used."""
    row: Row[Any] | None = transaction.first(_LINK, user=user.id)
    if row is None or row.expires <= transaction.now() or row.tries >= LINK_TRIES:
        return None
    return row


def _is_link(transaction: Transaction, user: User, code: str) -> bool:
    """Whether `code` is the account's link code; count a wrong one."""
    row = _valid_link(transaction, user)
    if row is None:
        return False
    transaction.claim()
    mac = link_mac(transaction.lookups.accounts_key(), fold(user.name), code)
    if hmac.compare_digest(row.mac, mac):
        return True
    transaction.execute(_COUNT_TRY, user=user.id)  # stored although the sign-in is refused
    return False


def _check_standing(transaction: Transaction, account: KnownAccount, session: User) -> None:
    """Refuse a disabled or banned account; the address was checked before."""
    if not account.is_clear:
        transaction.check_standing(session)


# New names


def _claim(transaction: Transaction, operation: SignIn) -> SignedIn:
    if operation.invitation is None and operation.link is not None:
        raise _link_invalid()
    if operation.invitation is None and operation.password_hash is not None:
        raise _bad_password()
    check_name_is_available(transaction, operation.name, operation.reserved)
    transaction.claim()
    if operation.registration == "closed":
        raise CommandError(
            ErrorCode.REGISTRATION_CLOSED,
            "this server is closed to new names: ask its operator to add you (`chat-server user"
            f" add {operation.name}`), then sign in with the link code",
            field="link",  # clients ask for a link code, not for an invitation
        )
    now = transaction.now()
    invitation = None
    role: AccountRole = ACCOUNT_MEMBER
    channels: tuple[str, ...] = ()
    if operation.invitation is not None:
        code_hash = invitation_hash(operation.invitation)
        transaction.flush()
        invitation = find_invitation(transaction.connection, code_hash=code_hash)
        if (
            invitation is None
            or invitation.revoked
            or invitation.expires <= now
            or invitation.used >= invitation.uses
        ):
            raise CommandError(
                ErrorCode.INVITATION_INVALID,
                "the invitation is wrong, expired, used up, or revoked: ask for another",
                field="invite",
            )
        role, channels = invitation.role, invitation.channels
    elif operation.registration == "invite":
        raise CommandError(
            ErrorCode.REGISTRATION_CLOSED,
            f"{operation.name} is a new name and needs an invitation: ask an admin of this server"
            " for a code",
            field="name",
        )
    if invitation is None and operation.quota is not None and (wait := operation.quota()):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"too many new names from your address: try again in {max(1, round(wait)):,} s",
            retry_after=wait,
        )
    user = transaction.add_user(operation.name, now, role=role)
    device = transaction.add_device(user, operation.claim_hash, operation.label, now, seen=now)
    session = User(user.id, user.name, device, operation.address)
    transaction.standings.trust(session)
    transaction.record(
        "created",
        now,
        actor=session,
        user=user,
        device=device,
        details={
            "how": "open" if invitation is None else "invitation",
            "role": role,
            "label": operation.label or None,
        },
    )
    if invitation is not None:
        transaction.execute(_USE_INVITATION, invitation_id=invitation.id, user_id=user.id)
        transaction.record(
            "invitation_used",
            now,
            actor=session,
            user=user,
            details={"invitation": invitation.id},
        )
    memberships = _arrive(transaction, user, channels)
    return SignedIn(session, claimed=True, memberships=memberships, role=role)


def check_name_is_available(transaction: Transaction, name: str, reserved: frozenset[str]) -> None:
    """Refuse codes, reserved names, IP addresses, and names of erased accounts.

    Raises:
        CommandError: name_unavailable.
    """
    if is_link_code(name) or is_invitation_code(name):  # public as a name, but still usable
        raise CommandError(
            ErrorCode.NAME_UNAVAILABLE,
            "this looks like a link code or an invitation, not a name: choose another",
            field="name",
        )
    if is_reserved(name, reserved) or transaction.lookups.is_erased_name(name):
        raise CommandError(
            ErrorCode.NAME_UNAVAILABLE,
            f"the name {name} cannot be used: choose another",
            field="name",
        )


def is_reserved(name: str, reserved: frozenset[str]) -> bool:
    """Whether nobody may claim a name; `reserved` are those of the settings, folded."""
    key = fold(name)
    return (
        key in RESERVED_NAMES
        or key in reserved
        or _PLACEHOLDER.fullmatch(key) is not None
        or _is_address(key)
    )


def _is_address(name: str) -> bool:
    """Whether a name is an IP address: `ban NAME` would ban the address, not the account."""
    try:
        network_of(name)
    except ValueError:
        return False
    return True


def _arrive(
    transaction: Transaction, user: User, channels: tuple[str, ...]
) -> tuple[Membership, ...]:
    """Join `#general` and those of `channels` for which the user has room."""
    lookups, found = transaction.lookups, []
    general = lookups.channel(GENERAL)
    assert general is not None, "#general always exists"
    places: dict[int, Channel] = {general.id: general}
    for name in channels[: transaction.limits.channels - 1]:
        channel = lookups.channel(name)
        if channel is not None and not channel.is_private:
            places[channel.id] = channel
    preference = Preference(pinned=0, muted=False, level=USUAL_LEVEL)
    for channel in sorted(places.values(), key=lambda each: each.fold):
        if lookups.role(channel, user) is None:
            event = enter(transaction, channel, user, role_on_entry(transaction, channel, user))
            role = role_in(transaction, channel, user) or MEMBER
            found.append(Membership(channel.state(), role, event["seq"], 0, 0, preference))
    return tuple(found)


# Devices, link codes, passwords


def _own(transaction: Transaction, actor: User | None, name: str) -> User:
    """Return the user `name`, if it is the actor's own account or the operator acts.

    Raises:
        CommandError: forbidden, no_such_user.
    """
    user = find_user(transaction, name)
    if actor is not None and actor.id != user.id:
        raise CommandError(ErrorCode.FORBIDDEN, "you can do this only with your own account")
    return user


def _add_device(
    transaction: Transaction,
    user: User,
    token_hash: bytes,
    label: str,
    how: str,
    now: int,
    address: str | None = None,
) -> int:
    """Add a device to an existing account, and record it.

    Raises:
        CommandError: limit_reached.
    """
    transaction.claim()
    known = transaction.lookups.account(user).devices
    if sum(not device.is_revoked for device in known.values()) >= DEVICES_MAX:
        raise CommandError(
            ErrorCode.LIMIT_REACHED,
            f"{user.name} has {DEVICES_MAX} devices, the maximum: revoke one first, which also"
            " voids the link code",
        )
    is_operator = how == "operator"
    device = transaction.add_device(user, token_hash, label, now, seen=None if is_operator else now)
    transaction.record(
        "device_added",
        now,
        actor=None if is_operator else user,
        user=user,
        device=device,
        address=address,
        details={"how": how, "label": label or None},
    )
    return device


def add_device(transaction: Transaction, operation: AddDevice) -> None:
    """Add a device with a token of the operator; nothing happens if it exists."""
    user = find_user(transaction, operation.name)
    if operation.token_hash not in transaction.lookups.account(user).devices:
        now = transaction.now()
        _add_device(transaction, user, operation.token_hash, operation.label, "operator", now)


def revoke_device(transaction: Transaction, operation: RevokeDevice) -> None:
    """Revoke a device and void the account's link code, which a thief may have created on it.

    Nothing happens if the device was revoked before.
    """
    user = _own(transaction, operation.actor, operation.user)
    row = transaction.first(_DEVICE, device=operation.device, user=user.id)
    if row is None:
        raise CommandError(
            ErrorCode.NO_SUCH_DEVICE, f"{user.name} has no device {operation.device}"
        )
    if row.revoked is not None:
        return
    now = transaction.now()
    transaction.execute(_REVOKE_DEVICE, device=operation.device, now=now)
    transaction.execute(_REMOVE_LINK, user=user.id)
    transaction.account_changed(user)
    transaction.record(
        "device_revoked",
        now,
        actor=operation.actor,
        user=user,
        device=operation.device,
        details={"label": row.label or None},
    )


def create_link(transaction: Transaction, operation: CreateLink) -> LinkCode:
    """Create the account's link code, in place of the previous one."""
    actor, user = operation.actor, _own(transaction, operation.actor, operation.name)
    if actor is not None and (wait := transaction.pause_before_linking(user)):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"you may create {LINKS_PER_HOUR} link codes in an hour; try again later",
            retry_after=wait,
        )
    now, code = transaction.now(), new_link_code()
    expires, has_replaced = now + LINK_MS, _valid_link(transaction, user) is not None
    transaction.execute(_REMOVE_LINK, user=user.id)
    transaction.execute(
        _ADD_LINK,
        user_id=user.id,
        mac=link_mac(transaction.lookups.accounts_key(), fold(user.name), code),
        created=now,
        expires=expires,
        tries=0,
    )
    transaction.record("link_created", now, actor=actor, user=user, details={"expires": expires})
    return LinkCode(code, expires, has_replaced)


def set_password(transaction: Transaction, operation: SetPassword) -> None:
    """Set, change or remove a password."""
    user = _own(transaction, operation.actor, operation.name)
    stored = transaction.scalar(_PASSWORD, user=user.id)
    if stored == operation.new:
        return
    is_operator = operation.actor is None
    if not is_operator and not hmac.compare_digest(
        (stored or "").encode(), (operation.expected or "").encode()
    ):
        raise CommandError(
            ErrorCode.BAD_PASSWORD,
            "the current password is wrong, or the password was changed on another device",
            field="current",
        )
    if operation.new is None:
        remove_password(transaction, operation.actor, user)
        return
    if transaction.lookups.account(user).role == BOT:
        raise CommandError(ErrorCode.FORBIDDEN, "a bot cannot have a password")
    now = transaction.now()
    transaction.execute(_REMOVE_PASSWORD, user=user.id)
    transaction.execute(_ADD_PASSWORD, user_id=user.id, hash=operation.new, changed=now)
    transaction.record("password_set", now, actor=operation.actor, user=user)


def remove_password(transaction: Transaction, actor: User | None, user: User) -> None:
    """Remove the password of `user`, and record it if there was one."""
    if transaction.scalar(_PASSWORD, user=user.id) is not None:
        transaction.execute(_REMOVE_PASSWORD, user=user.id)
        transaction.record("password_removed", transaction.now(), actor=actor, user=user)
