"""Rules of membership: sign in, join, leave, direct channels."""

from __future__ import annotations

import hmac

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.protocol.limits import USUAL_LEVEL
from chat.store.operations import (
    ChannelState,
    JoinChannel,
    LeaveChannel,
    Membership,
    Preference,
    SignedIn,
    SignIn,
    User,
)
from chat.store.rights import MEMBER, OWNER, check_can_leave, check_may_open_direct, no_such_channel
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import GENERAL, channel_names, direct_channel, fold, is_direct

__all__ = ["join", "leave", "open_direct", "sign_in"]


def sign_in(transaction: Transaction, operation: SignIn) -> SignedIn:
    """Claim a new name, or check the token of an existing one."""
    known = transaction.lookups.people([operation.name]).get(fold(operation.name))
    if known is None:
        return _claim(transaction, operation)
    hashes = transaction.lookups.token_hashes(known)
    if operation.token_hash is None:
        raise CommandError(
            ErrorCode.NAME_TAKEN,
            f"the name {known.name} is taken: choose another, or use its token (the operator"
            f" issues one with `chat-server token {known.name}`)",
            field="name",
        )
    # Compare all hashes, so that the duration does not reveal a match.
    matches = [hmac.compare_digest(stored, operation.token_hash) for stored in hashes]
    if not any(matches):
        raise CommandError(
            ErrorCode.BAD_TOKEN,
            f"wrong token for {known.name}: choose another name, or ask the operator to run"
            f" `chat-server token {known.name}`",
            field="token",
        )
    return SignedIn(known, claimed=False)


def _claim(transaction: Transaction, operation: SignIn) -> SignedIn:
    if operation.quota is not None and (wait := operation.quota()):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"too many new names from your address: try again in {max(1, round(wait)):,} s",
            retry_after=wait,
        )
    user = transaction.add_user(operation.name, operation.claim_hash)
    general = transaction.lookups.channel(GENERAL)
    assert general is not None, "#general always exists"
    event = _enter(transaction, general, user, MEMBER)
    preference = Preference(pinned=0, muted=False, level=USUAL_LEVEL)
    membership = Membership(
        general.state(), MEMBER, read=event["seq"], unread=0, mentions=0, preference=preference
    )
    return SignedIn(user, claimed=True, memberships=(membership,))


def join(transaction: Transaction, operation: JoinChannel) -> ChannelState:
    """Add the user as a member; create the channel if it does not exist."""
    user = operation.user
    channel = transaction.lookups.channel(operation.channel)
    if channel is None and is_direct(operation.channel):
        channel = open_direct(transaction, user, operation.channel, is_hidden=True)
        return channel.state()
    role = transaction.lookups.role(channel, user) if channel else None
    if channel is not None and role is not None:
        if user in transaction.lookups.hidden_from(channel):
            transaction.set_hidden(channel, [user], is_hidden=False)
        return channel.state()
    if channel is not None and is_direct(channel.name):
        raise no_such_channel(operation.channel)
    limits = transaction.limits
    _check_has_room(transaction, user)
    role = MEMBER
    if channel is None:
        if pause := transaction.pause_before_creating(user):
            raise CommandError(
                ErrorCode.RATE_LIMITED,
                f"you may create {limits.channels} channels in an hour; try again later",
                retry_after=pause,
            )
        channel = transaction.add_channel(operation.channel)
        role = OWNER
    _enter(transaction, channel, user, role)
    return channel.state()


def leave(transaction: Transaction, operation: LeaveChannel) -> None:
    """End the membership of `operation.user`."""
    channel = transaction.lookups.channel(operation.channel)
    if channel is None:
        raise no_such_channel(operation.channel)
    check_can_leave(operation.channel, transaction.lookups.role(channel, operation.user))
    transaction.remove_member(channel, operation.user)
    transaction.append(channel, operation.user, "leave")


def open_direct(transaction: Transaction, user: User, name: str, *, is_hidden: bool) -> Channel:
    """Create an empty direct channel with all participants as members.

    It counts only against the limit of `user`. With `is_hidden`, it stays hidden from the others
    until its first message.
    """
    check_may_open_direct(name, user.name)
    names = channel_names(name)
    people = transaction.lookups.people(names)
    for missing in names:
        if fold(missing) not in people:
            raise CommandError(
                ErrorCode.NO_SUCH_USER, f"there is no user {missing}", field="channel"
            )
    _check_has_room(transaction, user)
    if pause := transaction.pause_before_opening(user):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"you may open {transaction.limits.openings} direct channels in an hour;"
            " try again later",
            retry_after=pause,
        )
    channel = transaction.add_channel(direct_channel(person.name for person in people.values()))
    for person in people.values():
        opened = person.id == user.id
        hidden = is_hidden and not opened
        transaction.add_member(channel, person, MEMBER, read=0, counted=opened, hidden=hidden)
    return channel


def _enter(transaction: Transaction, channel: Channel, user: User, role: str) -> EventFields:
    """Append the join event, and set the read marker to it."""
    event = transaction.append(channel, user, "join")
    transaction.add_member(channel, user, role, read=event["seq"])
    return event


def _check_has_room(transaction: Transaction, user: User) -> None:
    most = transaction.limits.channels
    count = transaction.lookups.counted_channels(user)
    if count >= most:
        raise CommandError(
            ErrorCode.LIMIT_REACHED,
            f"you are in {count} channels, and the limit is {most}: leave one or hide a direct one"
            " first",
            field="channel",
        )
