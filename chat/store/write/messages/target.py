"""The target message of an edit, a deletion, a reaction or a pin."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update

from chat.protocol.items import EventFields
from chat.store.rights import no_such_message
from chat.store.schema import ERASED, events, folds, is_line, kind_of
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.transaction import Transaction

__all__ = ["Target", "find_target", "fold_into_target"]

_TARGET = Prepared(
    select(
        events.c.id,
        events.c.seq,
        events.c.author_id,
        events.c.reply_to,
        events.c.flags,
        folds.c.rev,
        folds.c.edit_id,
    )
    .outerjoin_from(events, folds, folds.c.event_id == events.c.id)
    .where(
        events.c.channel_id == bindparam("channel"), events.c.seq == bindparam("number"), is_line
    )
)
_ADD_FOLD = Prepared(insert(folds))
_SET_FOLD = Prepared(
    update(folds)
    .where(folds.c.event_id == bindparam("event"))
    .values(rev=bindparam("at"), edit_id=bindparam("edit"))
)


@dataclass(frozen=True, slots=True)
class Target:
    """A message in its current state."""

    id: int
    seq: int
    author_id: int
    reply_to: int | None
    is_folded: bool
    """Whether the message has changes already."""
    edit_id: int | None
    """The edit with the current text; None if the message was never edited."""


def find_target(transaction: Transaction, channel: Channel, seq: int) -> Target:
    """Return the message `seq`.

    Raises:
        CommandError: `seq` is not a message, or it is deleted.
    """
    row = transaction.first(_TARGET, channel=channel.id, number=seq)
    if row is None or kind_of(row.flags) != "message" or row.flags & ERASED:
        raise no_such_message()
    is_folded = row.rev is not None
    return Target(row.id, row.seq, row.author_id, row.reply_to, is_folded, row.edit_id)


def fold_into_target(
    transaction: Transaction, target: Target, event: EventFields, edit_id: int | None = None
) -> None:
    """Record `event` as the latest change of its target; `edit_id` if it has a new text."""
    edit_id = edit_id or target.edit_id
    if target.is_folded:
        transaction.execute(_SET_FOLD, event=target.id, at=event["seq"], edit=edit_id)
    else:
        transaction.execute(_ADD_FOLD, event_id=target.id, rev=event["seq"], edit_id=edit_id)
