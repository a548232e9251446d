"""The access of a user to a channel: membership, role, and rights.

A refusal tells an outsider the same about a private channel as about one that does not exist.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, bindparam, select

from chat.errors import CommandError, ErrorCode
from chat.rights import (
    ARCHIVED,
    GENERAL,
    MEMBER,
    Right,
    outranks,
    rights_of,
    standing_of,
)
from chat.store import rights
from chat.store.accounts import ADMIN
from chat.store.operations import Muted, User
from chat.store.schema import channel_bans, users
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction
from chat.text import fold

__all__ = [
    "ban_in_force",
    "check_outranks",
    "check_right",
    "find_channel",
    "find_user",
    "has_right",
    "mute_in_force",
    "role_in",
]

_rights_of = lru_cache(maxsize=1_024)(rights_of)
_is_of_user: BindParameter[int] = bindparam("user")
_IS_ERASED = Prepared(select(users.c.is_erased).where(users.c.id == _is_of_user))
_BAN = Prepared(
    select(users.c.name.label("by"), channel_bans.c.until, channel_bans.c.reason)
    .join_from(channel_bans, users, users.c.id == channel_bans.c.by_id)
    .where(channel_bans.c.channel_id == bindparam("channel"), channel_bans.c.user_id == _is_of_user)
)


def find_user(transaction: Transaction, name: str) -> User:
    """Return the user `name`, unless the account was erased.

    Raises:
        CommandError: no_such_user.
    """
    user = transaction.lookups.people([name]).get(fold(name))
    if user is None or transaction.scalar(_IS_ERASED, user=user.id):
        raise CommandError(ErrorCode.NO_SUCH_USER, f"there is no user “{name}”", field="name")
    return user


def find_channel(transaction: Transaction, user: User, name: str) -> Channel:
    """Return the channel `name`, of which `user` must be a member.

    Raises:
        CommandError: no_such_channel, not_a_member.
    """
    channel = transaction.lookups.channel(name)
    if channel is None:
        raise rights.no_such_channel(name)
    if transaction.lookups.role(channel, user) is None:
        raise rights.not_a_member(name, is_private=channel.is_private)
    return channel


def role_in(transaction: Transaction, channel: Channel, user: User) -> str | None:
    """Return the effective role of `user`, or None for a non-member.

    `#general` belongs to the admins of the server.
    """
    role = transaction.lookups.role(channel, user)
    if channel.fold != GENERAL or role is None:
        return role
    is_admin = transaction.lookups.account(user).role == ADMIN
    return rights.effective_role(channel.fold, role, is_admin=is_admin)


def mute_in_force(transaction: Transaction, channel: Channel, user: User) -> Muted | None:
    """Return the mute of `user` that is in force now, or None."""
    mute = channel.mutes.get(user.id)
    if mute is None or (mute.until is not None and mute.until <= transaction.now()):
        return None
    return mute


def ban_in_force(transaction: Transaction, channel: Channel | None, user: User) -> Any:
    """Return the ban of `user` that is in force now (`by`, `until`, `reason`), or None."""
    channel_id = channel.id if channel is not None else 0
    row = transaction.first(_BAN, channel=channel_id, user=user.id)
    if row is None or (row.until is not None and row.until <= transaction.now()):
        return None
    return row


def has_right(transaction: Transaction, channel: Channel, user: User, right: Right) -> bool:
    """Whether `user`, a member, has a right in `channel`."""
    try:
        check_right(transaction, channel, user, right)
    except CommandError:
        return False
    return True


def check_right(transaction: Transaction, channel: Channel, user: User, right: Right) -> None:
    """Check that `user`, a member, has a right in `channel`.

    Raises:
        CommandError: muted, archived, forbidden.
    """
    mute = mute_in_force(transaction, channel, user) if channel.mutes else None
    if mute is None and right in _rights_of("member", channel.settings):
        return
    role = role_in(transaction, channel, user)
    assert role is not None, "the user is a member"
    standing = standing_of(role, is_muted=mute is not None)
    if right in _rights_of(standing, channel.settings):
        return
    if channel.settings.archived and right not in ARCHIVED:
        raise rights.archived(channel.name)
    if standing == "muted" and mute is not None:
        raise rights.muted_in(channel.name, mute.by, mute.until, mute.reason)
    raise rights.forbidden(channel.name, right, channel.settings)


def check_outranks(transaction: Transaction, channel: Channel, user: User, other: User) -> None:
    """Check that `user` may act on `other`: someone else, with a lower role or no member.

    Raises:
        CommandError: forbidden.
    """
    if user.id == other.id:
        raise CommandError(ErrorCode.FORBIDDEN, "you cannot do this to yourself", field="name")
    role = role_in(transaction, channel, user)
    its_role = role_in(transaction, channel, other)
    if role is None or not outranks(role, its_role):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            f"{other.name} is {rights.ROLE_NAMES[its_role or MEMBER]} of {channel.name}: you can"
            " do this only to someone with a lower role than yours",
            field="name",
        )
