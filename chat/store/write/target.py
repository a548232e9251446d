"""The message that an edit, a deletion, a reaction or a pin is about."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from chat.protocol.items import Event
from chat.store.rights import no_such_message
from chat.store.schema import events
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction

__all__ = ["Target", "find_target", "fold_into_target"]

_is_target = (
    events.c.channel_id == bindparam("channel"),
    events.c.seq == bindparam("number"),
)
_TARGET = Prepared(
    select(
        events.c.seq,
        events.c.author_id,
        events.c.body_id,
        events.c.last_edit,
        events.c.reply_to,
        events.c.kind,
        events.c.erased,
    ).where(*_is_target)
)
_FOLD = Prepared(update(events).where(*_is_target).values(rev=bindparam("at")))


@dataclass(frozen=True, slots=True)
class Target:
    """A message as it is now."""

    seq: int
    author_id: int
    body_id: int
    last_edit: int | None
    reply_to: int | None


def find_target(transaction: Transaction, channel: Channel, seq: int) -> Target:
    """Return the message `seq`.

    Raises:
        CommandError: it is no message, or deleted.
    """
    row = transaction.first(_TARGET, channel=channel.id, number=seq)
    if row is None or row.kind != "message" or row.erased:
        raise no_such_message()
    return Target(row.seq, row.author_id, row.body_id, row.last_edit, row.reply_to)


def fold_into_target(transaction: Transaction, channel: Channel, event: Event) -> None:
    """Note in the target of `event` that the event is folded into it."""
    transaction.execute(_FOLD, channel=channel.id, number=event.target, at=event.seq)
