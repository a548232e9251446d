"""Rules of membership: join, leave, direct channels."""

from __future__ import annotations

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.store.operations import (
    ChannelState,
    JoinChannel,
    LeaveChannel,
    User,
)
from chat.store.rights import MEMBER, OWNER, check_can_leave, check_may_open_direct, no_such_channel
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import channel_names, direct_channel, fold, is_direct

__all__ = ["check_may_create", "enter", "join", "leave", "open_direct"]


def enter(transaction: Transaction, channel: Channel, user: User, role: str) -> EventFields:
    """Append the join event, and set the read marker to it."""
    event = transaction.append(channel, user, "join")
    transaction.add_member(channel, user, role, read=event["seq"])
    return event


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
    if channel is not None:
        _check_has_room(transaction, user)
        enter(transaction, channel, user, MEMBER)
        return channel.state()
    check_may_create(transaction, user)
    channel = transaction.add_channel(operation.channel)
    enter(transaction, channel, user, OWNER)
    return channel.state()


def check_may_create(transaction: Transaction, user: User, count: int = 1) -> None:
    """Check that `user` may create and join so many channels; it counts them for the hour's limit.

    Raises:
        CommandError: limit_reached, rate_limited.
    """
    _check_has_room(transaction, user, count)
    for _ in range(count):
        if pause := transaction.pause_before_creating(user):
            raise CommandError(
                ErrorCode.RATE_LIMITED,
                f"you may create {transaction.limits.channels} channels in an hour;"
                " try again later",
                retry_after=pause,
            )


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


def _check_has_room(transaction: Transaction, user: User, more: int = 1) -> None:
    most = transaction.limits.channels
    count = transaction.lookups.counted_channels(user)
    if count + more > most:
        raise CommandError(
            ErrorCode.LIMIT_REACHED,
            f"you are in {count} channels, and the limit is {most}: leave one or hide a direct one"
            " first",
            field="channel",
        )
