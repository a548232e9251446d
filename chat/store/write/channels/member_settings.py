"""Read markers and preferences of a member, and the users whom they ignore."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from chat.errors import CommandError, ErrorCode
from chat.store.channels import IgnoredUsers, IgnoreUser
from chat.store.operations import Marked, MarkRead, Prefer, Preference, Preferred
from chat.store.read.unread import COUNTS_OF_ONE
from chat.store.rights import check_can_hide
from chat.store.schema import ignores, members, users
from chat.store.sql import Prepared
from chat.store.write.access import find_channel, find_user
from chat.store.write.transaction import Transaction

__all__ = ["ignore", "mark_read", "prefer"]


_is_membership = (
    members.c.channel_id == bindparam("channel"),
    members.c.user_id == bindparam("user"),
)
_READ = Prepared(select(members.c.read_seq).where(*_is_membership))
_COUNTS = Prepared(COUNTS_OF_ONE)
_MOVE = Prepared(update(members).where(*_is_membership).values(read_seq=bindparam("to")))


def mark_read(transaction: Transaction, operation: MarkRead) -> Marked:
    """Move the read marker forward to `operation.seq`."""
    channel = find_channel(transaction, operation.user, operation.channel)
    if operation.seq > channel.head:
        raise CommandError(
            ErrorCode.INVALID,
            f"seq: must be at most {channel.head}, the newest event of {channel.name}",
            field="seq",
        )
    membership = {"channel": channel.id, "user": operation.user.id}
    before = transaction.scalar(_READ, **membership) or 0
    moved = operation.seq > before
    if moved:
        transaction.execute(_MOVE, **membership, to=operation.seq)
    read, unread, mentions = transaction.first(
        _COUNTS, **membership, unread_limit=transaction.limits.unread
    )
    return Marked(channel.state(), read, unread, mentions, moved)


_PREFERENCE = Prepared(
    select(members.c.pinned, members.c.muted, members.c.level).where(*_is_membership)
)
_CHANGE = Prepared(
    update(members)
    .where(*_is_membership)
    .values(
        pinned=bindparam("new_pinned"), muted=bindparam("new_muted"), level=bindparam("new_level")
    )
)


def prefer(transaction: Transaction, operation: Prefer) -> Preferred:
    """Change the preferences that `operation` sets."""
    channel = find_channel(transaction, operation.user, operation.channel)
    if operation.hidden:
        check_can_hide(channel.name)
    membership = {"channel": channel.id, "user": operation.user.id}
    before = Preference(*transaction.first(_PREFERENCE, **membership))
    after = Preference(
        _chosen(operation.pinned, before.pinned),
        _chosen(operation.muted, before.muted),
        _chosen(operation.level, before.level),
    )
    if after != before:
        new = {"new_pinned": after.pinned, "new_muted": after.muted, "new_level": after.level}
        transaction.execute(_CHANGE, **membership, **new)
    was_hidden = operation.user in transaction.lookups.hidden_from(channel)
    hidden = _chosen(operation.hidden, was_hidden)
    if hidden != was_hidden:
        transaction.set_hidden(channel, [operation.user], is_hidden=hidden)
    changed = after != before or hidden != was_hidden
    return Preferred(channel.state(), after, changed, hidden)


def _chosen(asked: Any, before: Any) -> Any:
    return before if asked is None else asked


IGNORED_MAX = 1_000
"""Most users whom a user ignores."""
_ADD_IGNORED = Prepared(insert(ignores))
_REMOVE_IGNORED = Prepared(
    delete(ignores).where(
        ignores.c.user_id == bindparam("user"), ignores.c.ignored_id == bindparam("ignored")
    )
)
_IGNORED = Prepared(
    select(users.c.name)
    .join_from(ignores, users, users.c.id == ignores.c.ignored_id)
    .where(ignores.c.user_id == bindparam("user"))
    .order_by(users.c.fold)
)
_IGNORED_COUNT = Prepared(
    select(func.count()).select_from(ignores).where(ignores.c.user_id == bindparam("user"))
)


def ignore(transaction: Transaction, operation: IgnoreUser) -> IgnoredUsers:
    """Ignore a user, or no longer."""
    user, remove = operation.user, operation.remove
    other = find_user(transaction, operation.name)
    if other.id == user.id:
        raise CommandError(ErrorCode.FORBIDDEN, "you cannot ignore yourself", field="name")
    changed = transaction.lookups.ignores(user, other) == remove
    if changed and remove:
        transaction.execute(_REMOVE_IGNORED, user=user.id, ignored=other.id)
    elif changed:
        if (transaction.scalar(_IGNORED_COUNT, user=user.id) or 0) >= IGNORED_MAX:
            raise CommandError(
                ErrorCode.LIMIT_REACHED,
                f"you ignore {IGNORED_MAX:,} users, the maximum: stop ignoring one first",
                field="name",
            )
        transaction.execute(_ADD_IGNORED, user_id=user.id, ignored_id=other.id)
    transaction.lookups.note_ignored(user, other, is_ignored=not remove)
    names = tuple(row.name for row in transaction.execute(_IGNORED, user=user.id))
    if changed:
        transaction.tell("ignored", (user.name, names))
    return IgnoredUsers(names, changed)
