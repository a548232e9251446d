"""Rules of membership: sign in, join, leave, direct channels."""

from __future__ import annotations

import hmac

from chat.errors import CommandError, ErrorCode
from chat.protocol.frames import Membership
from chat.protocol.items import Event
from chat.store.operations import (
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    LeftChannel,
    SignedIn,
    SignIn,
    User,
)
from chat.store.rights import MEMBER, OWNER, check_can_leave, check_may_open_direct, no_such_channel
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import GENERAL, channel_names, direct_channel, fold, is_direct

__all__ = ["join", "leave", "open_direct", "sign_in"]


def sign_in(ledger: Transaction, operation: SignIn) -> SignedIn:
    """Claim a new name, or prove that a known one is one's own."""
    known = ledger.roster.people([operation.name]).get(fold(operation.name))
    if known is None:
        return _claim(ledger, operation)
    hashes = ledger.roster.token_hashes(known)
    if operation.token_hash is None:
        raise CommandError(
            ErrorCode.NAME_TAKEN,
            f"the name {known.name} is taken: choose another, or give its token (the operator"
            f" issues one by `chat-server token {known.name}`)",
            field="name",
        )
    # All are compared, so that the time taken tells nothing.
    matches = [hmac.compare_digest(stored, operation.token_hash) for stored in hashes]
    if not any(matches):
        raise CommandError(
            ErrorCode.BAD_TOKEN,
            f"this is not a token of {known.name}: choose another name, or ask the operator for"
            f" `chat-server token {known.name}`",
            field="token",
        )
    return SignedIn(known, claimed=False)


def _claim(ledger: Transaction, operation: SignIn) -> SignedIn:
    if operation.quota is not None and (wait := operation.quota()):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"too many new names come from your address: try again in {max(1, round(wait)):,} s",
            retry_after=wait,
        )
    user = ledger.add_user(operation.name, operation.claim_hash)
    general = ledger.roster.channel(GENERAL)
    assert general is not None, "#general is there from the start"
    event = _enter(ledger, general, user, MEMBER)
    membership = Membership.known(
        channel=general.name,
        epoch=general.epoch,
        head=general.head,
        role=MEMBER,
        topic=general.topic,
        read=event.seq,
        unread=0,
        mentions=0,
    )
    return SignedIn(user, claimed=True, events=(event,), memberships=(membership,))


def join(ledger: Transaction, operation: JoinChannel) -> JoinedChannel:
    """Make a member of `operation.user`; create the channel if need be."""
    user = operation.user
    channel = ledger.roster.channel(operation.channel)
    if channel is None and is_direct(operation.channel):
        channel = open_direct(ledger, user, operation.channel, is_hidden=True)
        return JoinedChannel(channel.state(), MEMBER)
    role = ledger.roster.role(channel, user) if channel else None
    if channel is not None and role is not None:
        if user in ledger.roster.hidden_from(channel):
            ledger.set_hidden(channel, [user], is_hidden=False)
        return JoinedChannel(channel.state(), role)
    if channel is not None and is_direct(channel.name):
        raise no_such_channel(operation.channel)
    _check_has_room(ledger, user)
    role = MEMBER
    if channel is None:
        if pause := ledger.pause_before_creating(user):
            raise CommandError(
                ErrorCode.RATE_LIMITED,
                f"you may create {ledger.limits.channels} channels in an hour; try again later",
                retry_after=pause,
            )
        channel = ledger.add_channel(operation.channel)
        role = OWNER
    event = _enter(ledger, channel, user, role)
    return JoinedChannel(channel.state(), role, (event,))


def leave(ledger: Transaction, operation: LeaveChannel) -> LeftChannel:
    """End the membership of `operation.user`."""
    channel = ledger.roster.channel(operation.channel)
    if channel is None:
        raise no_such_channel(operation.channel)
    check_can_leave(operation.channel, ledger.roster.role(channel, operation.user))
    ledger.remove_member(channel, operation.user)
    event = ledger.append(channel, operation.user, "leave")
    return LeftChannel(channel.state(), (event,))


def open_direct(ledger: Transaction, user: User, name: str, *, is_hidden: bool) -> Channel:
    """Create a direct channel, with all its participants as members and an empty log.

    It counts against `user` alone. With `is_hidden` it is in nobody else's list until its first
    message.
    """
    check_may_open_direct(name, user.name)
    names = channel_names(name)
    people = ledger.roster.people(names)
    for missing in names:
        if fold(missing) not in people:
            raise CommandError(
                ErrorCode.NO_SUCH_USER, f"nobody is called {missing}", field="channel"
            )
    _check_has_room(ledger, user)
    if pause := ledger.pause_before_opening(user):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"you may open {ledger.limits.openings} direct channels in an hour; try again later",
            retry_after=pause,
        )
    channel = ledger.add_channel(direct_channel(person.name for person in people.values()))
    for person in people.values():
        opened = person.id == user.id
        hidden = is_hidden and not opened
        ledger.add_member(channel, person, MEMBER, read=0, counted=opened, hidden=hidden)
    return channel


def _enter(ledger: Transaction, channel: Channel, user: User, role: str) -> Event:
    """Append the join, and count everything up to it as read."""
    event = ledger.append(channel, user, "join")
    ledger.add_member(channel, user, role, read=event.seq)
    return event


def _check_has_room(ledger: Transaction, user: User) -> None:
    most = ledger.limits.channels
    count = ledger.roster.counted_channels(user)
    if count >= most:
        raise CommandError(
            ErrorCode.LIMIT_REACHED,
            f"you have joined or opened {count} channels, and {most} are the most: leave a channel"
            " or hide a direct one first",
            field="channel",
        )
