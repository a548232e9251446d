"""Rules of invitations to channels.

An invitation is silent if its user ignores the inviter or is banned from the channel: nobody is
told of it, so the inviter cannot tell that it does not reach them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from chat.errors import CommandError, ErrorCode
from chat.store.channels import (
    DeclineInvitation,
    Invited,
    InviteToChannel,
    WithdrawInvitation,
)
from chat.store.operations import OpenInvitation, User
from chat.store.schema import channel_invitations, users
from chat.store.sql import Prepared
from chat.store.write.access import (
    ban_in_force,
    check_right,
    find_channel,
    find_user,
    has_right,
)
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import is_direct

__all__ = ["decline", "end_invitation", "end_invitations", "invite", "is_invited", "withdraw"]

_inviters = users.alias("inviters")
_in_channel = channel_invitations.c.channel_id == bindparam("channel")
_is_invitation = (_in_channel, channel_invitations.c.user_id == bindparam("user"))
_invitations = (
    select(
        channel_invitations.c.user_id,
        users.c.name,
        channel_invitations.c.by_id,
        _inviters.c.name.label("by_name"),
        channel_invitations.c.created,
        channel_invitations.c.is_silent,
    )
    .join_from(channel_invitations, users, users.c.id == channel_invitations.c.user_id)
    .join(_inviters, _inviters.c.id == channel_invitations.c.by_id)
)
_INVITATION = Prepared(_invitations.where(*_is_invitation))
_INVITATIONS = Prepared(_invitations.where(_in_channel))
_ADD = Prepared(insert(channel_invitations))
_REMOVE = Prepared(delete(channel_invitations).where(*_is_invitation))


def invite(transaction: Transaction, operation: InviteToChannel) -> Invited:
    """Invite a user, unless they are a member or have an invitation."""
    user = operation.user
    channel = _find(transaction, user, operation.channel)
    invited = find_user(transaction, operation.name)
    if transaction.lookups.role(channel, invited) is not None:
        return Invited(invited, None)
    # A repeated invitation counts as well, or the limit would tell whether the first was silent.
    if pause := transaction.pause_before_inviting(user):
        raise CommandError(
            ErrorCode.RATE_LIMITED,
            f"you may invite {transaction.limits.invitations} users to channels in an hour;"
            " try again later",
            retry_after=pause,
        )
    is_banned = ban_in_force(transaction, channel, invited) is not None
    is_silent = transaction.lookups.ignores(invited, user) or is_banned
    before = _invitation(transaction, channel, invited)
    if before is None or (before.is_silent and not is_silent):
        now = transaction.now()
        where = {"channel": channel.id, "user": invited.id}
        transaction.execute(_REMOVE, **where)
        transaction.execute(
            _ADD,
            channel_id=channel.id,
            user_id=invited.id,
            by_id=user.id,
            created=now,
            is_silent=is_silent,
        )
        if not is_silent:
            opened = _open(channel, user.name, now)
            transaction.tell("invited", (invited.name, opened))
            return Invited(invited, opened)
    return Invited(invited, None)


def withdraw(transaction: Transaction, operation: WithdrawInvitation) -> None:
    """Withdraw an invitation: one's own, or as a moderator any.

    Nothing happens if there is none, or a member has not made it: otherwise they could tell that
    theirs was silent and that someone else has replaced it.
    """
    user = operation.user
    channel = _find(transaction, user, operation.channel)
    invited = find_user(transaction, operation.name)
    found = _invitation(transaction, channel, invited)
    if found is not None and (
        found.by_id == user.id or has_right(transaction, channel, user, "moderate")
    ):
        end_invitation(transaction, channel, invited)


def decline(transaction: Transaction, operation: DeclineInvitation) -> None:
    """End an invitation of the user; nothing happens if there is none, or no such channel."""
    channel = transaction.lookups.channel(operation.channel)
    # A missing channel is looked up as well, or the time would tell that others exist.
    found = _invitation(transaction, channel, operation.user)
    if channel is not None and found is not None and not found.is_silent:
        _end(transaction, channel, found)


def is_invited(transaction: Transaction, channel: Channel | None, user: User) -> bool:
    """Whether `user` has an invitation that has reached them."""
    found = _invitation(transaction, channel, user)
    return found is not None and not found.is_silent


def end_invitation(transaction: Transaction, channel: Channel, user: User) -> None:
    """Remove the invitation of `user`, if there is one."""
    found = _invitation(transaction, channel, user)
    if found is not None:
        _end(transaction, channel, found)


def end_invitations(transaction: Transaction, channel: Channel) -> None:
    """Remove all invitations to a channel."""
    for found in transaction.execute(_INVITATIONS, channel=channel.id):
        _end(transaction, channel, found)


def _find(transaction: Transaction, user: User, name: str) -> Channel:
    """Return the channel `name`, to which `user` may invite others."""
    channel = find_channel(transaction, user, name)
    if is_direct(channel.name):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            "nobody can be invited to a direct channel: open a new one that includes everyone",
            field="channel",
        )
    check_right(transaction, channel, user, "invite")
    return channel


def _end(transaction: Transaction, channel: Channel, found: Any) -> None:
    transaction.execute(_REMOVE, channel=channel.id, user=found.user_id)
    if not found.is_silent:
        ended = _open(channel, found.by_name, found.created)
        transaction.uninvited.append((User(found.user_id, found.name), ended))


def _invitation(transaction: Transaction, channel: Channel | None, user: User) -> Any:
    channel_id = channel.id if channel is not None else 0
    return transaction.first(_INVITATION, channel=channel_id, user=user.id)


def _open(channel: Channel, by: str, created: int) -> OpenInvitation:
    return OpenInvitation(channel.name, by, created, channel.topic, channel.is_private)
