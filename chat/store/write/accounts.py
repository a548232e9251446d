"""Rules of accounts: sign in, devices."""

from __future__ import annotations

import hmac

from chat.errors import CommandError, ErrorCode
from chat.protocol.limits import USUAL_LEVEL
from chat.store.accounts import AddDevice, SignedIn, SignIn
from chat.store.operations import Membership, Preference, User
from chat.store.rights import MEMBER
from chat.store.write.lookups import KnownDevice
from chat.store.write.membership import enter
from chat.store.write.transaction import Transaction
from chat.text import GENERAL, fold

__all__ = ["add_device", "sign_in"]


def sign_in(transaction: Transaction, operation: SignIn) -> SignedIn:
    """Claim a new name, or check the token of an existing one."""
    known = transaction.lookups.people([operation.name]).get(fold(operation.name))
    if known is None:
        return _claim(transaction, operation)
    if operation.token_hash is None:
        raise CommandError(
            ErrorCode.NAME_TAKEN,
            f"the name {known.name} is taken: choose another, or use its token (the operator"
            f" issues one with `chat-server token {known.name}`)",
            field="name",
        )
    device = _device_of(transaction, known, operation.token_hash)
    if device is None:
        raise CommandError(
            ErrorCode.BAD_TOKEN,
            f"wrong token for {known.name}: choose another name, or ask the operator to run"
            f" `chat-server token {known.name}`",
            field="token",
        )
    return SignedIn(User(known.id, known.name, device.id, operation.address), claimed=False)


def _device_of(transaction: Transaction, user: User, token_hash: bytes) -> KnownDevice | None:
    """Return the device with this token; the duration does not reveal a match."""
    found = None
    for stored, device in transaction.lookups.devices(user).items():
        if hmac.compare_digest(stored, token_hash):
            found = device
    return found


def _claim(transaction: Transaction, operation: SignIn) -> SignedIn:
    if operation.quota is not None and (wait := operation.quota()):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"too many new names from your address: try again in {max(1, round(wait)):,} s",
            retry_after=wait,
        )
    now = transaction.now()
    user = transaction.add_user(operation.name, now)
    device = transaction.add_device(user, operation.claim_hash, operation.label, now)
    transaction.record(
        "created",
        now,
        actor=user,
        user=user,
        device=device,
        address=operation.address,
        how="open",
        label=operation.label,
    )
    general = transaction.lookups.channel(GENERAL)
    assert general is not None, "#general always exists"
    event = enter(transaction, general, user, MEMBER)
    preference = Preference(pinned=0, muted=False, level=USUAL_LEVEL)
    membership = Membership(
        general.state(), MEMBER, read=event.seq, unread=0, mentions=0, preference=preference
    )
    return SignedIn(
        User(user.id, user.name, device, operation.address),
        claimed=True,
        memberships=(membership,),
    )


def add_device(transaction: Transaction, operation: AddDevice) -> None:
    """Add a device with a token of the operator; nothing happens if it exists."""
    user = transaction.lookups.people([operation.name]).get(fold(operation.name))
    if user is None:
        raise CommandError(
            ErrorCode.NO_SUCH_USER, f"there is no user {operation.name}", field="name"
        )
    if operation.token_hash in transaction.lookups.devices(user):
        return
    now = transaction.now()
    device = transaction.add_device(user, operation.token_hash, operation.label, now)
    transaction.record(
        "device_added",
        now,
        actor=None,
        user=user,
        device=device,
        how="operator",
        label=operation.label,
    )
