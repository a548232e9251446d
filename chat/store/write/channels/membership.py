"""Rules of membership: create, join, leave, direct channels, the end of a channel."""

from __future__ import annotations

from sqlalchemy import bindparam, delete

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import EventFields
from chat.rights import GENERAL, MEMBER, OWNER
from chat.store.accounts import ADMIN, BOT
from chat.store.channels import CreateChannel, DeleteChannel
from chat.store.details import Details
from chat.store.operations import (
    ChannelPolicy,
    ChannelState,
    JoinChannel,
    LeaveChannel,
    User,
)
from chat.store.rights import (
    banned_from,
    channel_key,
    check_may_open_direct,
    name_unavailable,
    no_such_channel,
)
from chat.store.schema import members
from chat.store.sql import Prepared
from chat.store.write.access import ban_in_force, check_right, find_channel
from chat.store.write.channels.invitations import end_invitation, end_invitations, is_invited
from chat.store.write.channels.ownership import pass_on
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import channel_names, direct_channel, fold, is_direct

__all__ = [
    "DELETION",
    "check_may_create",
    "create",
    "delete_channel",
    "end_membership",
    "enter",
    "join",
    "leave",
    "open_direct",
    "role_on_entry",
]

DELETION = "delete_channel"
"""The job that erases the rows of a deleted channel."""
_REMOVE_MEMBERS = Prepared(delete(members).where(members.c.channel_id == bindparam("channel")))


def enter(transaction: Transaction, channel: Channel, user: User, role: str) -> EventFields:
    """Append the join event, and set the read marker to it."""
    event = transaction.append(channel, user, "join")
    transaction.add_member(channel, user, role, read=event["seq"])
    return event


def join(transaction: Transaction, operation: JoinChannel) -> ChannelState:
    """Add the user as a member; create the channel if it does not exist."""
    user, name = operation.user, operation.channel
    channel = transaction.lookups.channel(name)
    if channel is None and is_direct(name):
        return open_direct(transaction, user, name, is_hidden=True).state()
    role = transaction.lookups.role(channel, user) if channel else None
    if channel is not None and role is not None:
        if user in transaction.lookups.hidden_from(channel):
            transaction.set_hidden(channel, [user], is_hidden=False)
        return channel.state()
    if channel is not None and is_direct(channel.name):
        raise no_such_channel(name)
    transaction.claim()
    # A missing channel is looked up as well, or the time would tell that others exist.
    if not _check_may_join(transaction, channel, user) or channel is None:
        channel = _create(transaction, user, name, operation.policy)
        return channel.state()
    _check_has_room(transaction, user)
    enter(transaction, channel, user, role_on_entry(transaction, channel, user))
    end_invitation(transaction, channel, user)
    return channel.state()


def _check_may_join(transaction: Transaction, channel: Channel | None, user: User) -> bool:
    """Return false if the channel is hidden from `user`; refuse someone who is banned from it.

    A private channel is hidden from outsiders, also from those who are banned.
    """
    ban = ban_in_force(transaction, channel, user)
    if channel is None or channel.is_private:
        is_in = is_invited(transaction, channel, user)
        return ban is None and is_in
    if ban is not None:
        raise banned_from(channel.name, ban.by, ban.until, ban.reason)
    return True


def create(transaction: Transaction, operation: CreateChannel) -> ChannelState:
    """Create a channel, with the user as its owner."""
    user, name = operation.user, operation.channel
    if is_direct(name):
        raise CommandError(
            ErrorCode.INVALID,
            "channel: a direct channel is created by its first message",
            field="channel",
        )
    channel = _create(transaction, user, name, operation.policy, is_private=operation.private)
    if operation.topic:
        transaction.append(channel, user, "topic", body=operation.topic)
        transaction.set_topic(channel, operation.topic)
    return channel.state()


def _create(
    transaction: Transaction,
    user: User,
    name: str,
    policy: ChannelPolicy,
    *,
    is_private: bool = False,
) -> Channel:
    """Create a channel.

    A name that is taken or reserved is refused last, and counts for the hour's limit like a new
    channel: names of private channels cannot be guessed in a loop.
    """
    transaction.claim()
    if not policy.is_open and transaction.lookups.account(user).role != ADMIN:
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "only the admins of this server may create channels",
            field="channel",
        )
    check_may_create(transaction, user)
    taken = transaction.lookups.channel(name)
    if taken is not None and not taken.is_private:
        raise CommandError(
            ErrorCode.NAME_UNAVAILABLE,
            f"{taken.name} already exists: join it, or choose another name",
            field="channel",
        )
    if channel_key(name) in policy.reserved or taken is not None:
        raise name_unavailable(name)
    channel = transaction.add_channel(name, is_private=is_private)
    enter(transaction, channel, user, role_on_entry(transaction, channel, user))
    return channel


def role_on_entry(transaction: Transaction, channel: Channel, user: User) -> str:
    """Return the role with which `user` enters: the first member owns the channel, unless a bot.

    So a channel that everyone has left gets an owner again.
    """
    is_owned = channel.member_count > 0 or channel.fold == GENERAL
    is_bot = transaction.lookups.account(user).role == BOT
    return MEMBER if is_owned or is_bot else OWNER


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
    channel = find_channel(transaction, operation.user, operation.channel)
    if is_direct(channel.name):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "a direct channel cannot be left; it can be hidden until its next message",
        )
    end_membership(transaction, channel, operation.user)


def end_membership(
    transaction: Transaction, channel: Channel, user: User, details: Details | None = None
) -> EventFields:
    """Append the `leave` event of a member, with `details` if someone else ended the membership.

    The ownership of an owner passes on. A private channel without members is deleted.
    """
    is_owner = transaction.lookups.role(channel, user) == OWNER
    transaction.remove_member(channel, user)
    event = transaction.append(channel, user, "leave", details=details)
    if is_owner and channel.fold != GENERAL:
        pass_on(transaction, channel, user)
    if channel.is_private and not channel.member_count:
        _delete(transaction, channel, user)
    return event


def delete_channel(transaction: Transaction, operation: DeleteChannel) -> None:
    """Delete a channel: its last event, its members, and its name at once, its rows by a job."""
    channel = find_channel(transaction, operation.user, operation.channel)
    check_right(transaction, channel, operation.user, "settings")
    if channel.fold == GENERAL:
        raise CommandError(
            ErrorCode.FORBIDDEN, f"{channel.name} cannot be deleted", field="channel"
        )
    _delete(transaction, channel, operation.user)


def _delete(transaction: Transaction, channel: Channel, user: User) -> None:
    channel.member_count = 0
    transaction.append(channel, user, "deleted")  # it stores the number of members as well
    end_invitations(transaction, channel)
    transaction.execute(_REMOVE_MEMBERS, channel=channel.id)
    transaction.free_name(channel)
    transaction.add_job(DELETION, {"channel": channel.id})


def open_direct(transaction: Transaction, user: User, name: str, *, is_hidden: bool) -> Channel:
    """Create an empty direct channel with all participants as members.

    It counts only against the limit of `user`. With `is_hidden`, it stays hidden from the others
    until its first message; from those who ignore `user`, it is hidden in any case.
    """
    check_may_open_direct(name, user.name)
    transaction.claim()
    names = channel_names(name)
    lookups = transaction.lookups
    people = lookups.people(names)
    for missing in names:
        if fold(missing) not in people:
            raise CommandError(
                ErrorCode.NO_SUCH_USER, f"there is no user “{missing}”", field="channel"
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
        hidden = not opened and (is_hidden or lookups.ignores(person, user))
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
