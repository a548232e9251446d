"""The rule of read markers: they only ever move forward."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update

from chat.core.rights import check_is_member, no_such_channel
from chat.errors import CommandError, ErrorCode
from chat.store.ledger import Ledger
from chat.store.ops import Marked, MarkRead
from chat.store.prepared import Prepared
from chat.store.schema import members
from chat.store.unread import COUNTS_OF_ONE

__all__ = ["mark_read"]

_is_seat = (
    members.c.channel_id == bindparam("channel"),
    members.c.user_id == bindparam("user"),
)
_READ = Prepared(select(members.c.read_seq).where(*_is_seat))
_COUNTS = Prepared(COUNTS_OF_ONE)
_MOVE = Prepared(update(members).where(*_is_seat).values(read_seq=bindparam("to")))


def mark_read(ledger: Ledger, operation: MarkRead) -> Marked:
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
