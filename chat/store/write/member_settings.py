"""Rules of read markers and preferences of a member."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update

from chat.errors import CommandError, ErrorCode
from chat.store.operations import Marked, MarkRead, Prefer, Preference, Preferred
from chat.store.read.unread import COUNTS_OF_ONE
from chat.store.rights import check_can_hide, check_is_member, no_such_channel
from chat.store.schema import members
from chat.store.sql import Prepared
from chat.store.write.transaction import Transaction

__all__ = ["mark_read", "prefer"]


_is_seat = (
    members.c.channel_id == bindparam("channel"),
    members.c.user_id == bindparam("user"),
)
_READ = Prepared(select(members.c.read_seq).where(*_is_seat))
_COUNTS = Prepared(COUNTS_OF_ONE)
_MOVE = Prepared(update(members).where(*_is_seat).values(read_seq=bindparam("to")))


def mark_read(ledger: Transaction, operation: MarkRead) -> Marked:
    """Move the marker to `operation.seq`, unless it is further already."""
    channel = ledger.roster.channel(operation.channel)
    if channel is None:
        raise no_such_channel(operation.channel)
    check_is_member(operation.channel, ledger.roster.role(channel, operation.user))
    if operation.seq > channel.head:
        raise CommandError(
            ErrorCode.INVALID,
            f"seq: the last event of {channel.name} is {channel.head}",
            field="seq",
        )
    seat = {"channel": channel.id, "user": operation.user.id}
    ledger.flush()
    before = _READ.scalar(ledger.connection, **seat) or 0
    moved = operation.seq > before
    if moved:
        ledger.has_written = True
        _MOVE.run(ledger.connection, **seat, to=operation.seq)
    read, unread, mentions = _COUNTS.first(
        ledger.connection, **seat, unread_limit=ledger.limits.unread
    )
    return Marked(channel.state(), read, unread, mentions, moved)


_is_seat = (
    members.c.channel_id == bindparam("channel"),
    members.c.user_id == bindparam("user"),
)
_PREFERENCE = Prepared(select(members.c.pinned, members.c.muted, members.c.level).where(*_is_seat))
_CHANGE = Prepared(
    update(members)
    .where(*_is_seat)
    .values(
        pinned=bindparam("new_pinned"), muted=bindparam("new_muted"), level=bindparam("new_level")
    )
)


def prefer(ledger: Transaction, operation: Prefer) -> Preferred:
    """Change what is asked for, and nothing else."""
    channel = ledger.roster.channel(operation.channel)
    if channel is None:
        raise no_such_channel(operation.channel)
    check_is_member(operation.channel, ledger.roster.role(channel, operation.user))
    if operation.hidden:
        check_can_hide(channel.name)
    seat = {"channel": channel.id, "user": operation.user.id}
    ledger.flush()
    before = Preference(*_PREFERENCE.first(ledger.connection, **seat))
    after = Preference(
        _chosen(operation.pinned, before.pinned),
        _chosen(operation.muted, before.muted),
        _chosen(operation.level, before.level),
    )
    if after != before:
        ledger.has_written = True
        new = {"new_pinned": after.pinned, "new_muted": after.muted, "new_level": after.level}
        _CHANGE.run(ledger.connection, **seat, **new)
    was_hidden = operation.user in ledger.roster.hidden_from(channel)
    hidden = _chosen(operation.hidden, was_hidden)
    if hidden != was_hidden:
        ledger.set_hidden(channel, [operation.user], is_hidden=hidden)
    changed = after != before or hidden != was_hidden
    return Preferred(channel.state(), after, changed, hidden)


def _chosen(asked: Any, before: Any) -> Any:
    return before if asked is None else asked
