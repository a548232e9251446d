"""Erase texts in the transaction of the edit or deletion.

A text is overwritten in place with spaces (see `schema`) and removed from the full-text index. The
write-ahead log, and with old SQLite versions the index, contain it until the writer purges them,
which `Transaction.has_erased` requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update

from chat.store.details import DETAILED_KINDS, without_reason
from chat.store.schema import (
    ERASED,
    events,
    is_change,
    is_unerased,
    kind_of,
    mentions,
    pins,
    reaction_counts,
    reactions,
)
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.messages.target import Target, find_target
from chat.store.write.transaction import Transaction

__all__ = ["TEXTS", "blank", "erase_line", "erase_message", "erase_text", "has_text"]

TEXTS = 100
"""Most texts that one step of a job erases: about 10 ms."""

_TEXT = Prepared(
    select(events.c.id, events.c.seq, events.c.text).where(events.c.id == bindparam("event"))
)
_TEXTS_ABOUT = Prepared(
    select(events.c.id, events.c.seq, events.c.text).where(
        events.c.channel_id == bindparam("channel"),
        events.c.target == bindparam("number"),
        is_change,
        or_(is_unerased("edit"), is_unerased("react")),
    )
)
_BLANK = Prepared(
    update(events).where(events.c.id == bindparam("event")).values(text=bindparam("blank"))
)
_MARK_ERASED = Prepared(
    update(events)
    .where(events.c.id == bindparam("event"))
    .values(flags=events.c.flags.bitwise_or(ERASED))
)
_DELETE_MENTIONS = Prepared(
    delete(mentions).where(
        mentions.c.channel_id == bindparam("channel"), mentions.c.seq == bindparam("number")
    )
)
_DELETE_REACTIONS = Prepared(
    delete(reactions).where(
        reactions.c.channel_id == bindparam("channel"), reactions.c.target == bindparam("number")
    )
)
_DELETE_COUNTS = Prepared(
    delete(reaction_counts).where(
        reaction_counts.c.channel_id == bindparam("channel"),
        reaction_counts.c.target == bindparam("number"),
    )
)
_DELETE_PIN = Prepared(
    delete(pins).where(
        pins.c.channel_id == bindparam("channel"), pins.c.target == bindparam("number")
    )
)


def erase_text(transaction: Transaction, channel: Channel, target: Target) -> None:
    """Erase the current text of a message before an edit stores a new one."""
    _erase_current(transaction, channel, target)
    if target.edit_id is not None:
        transaction.execute(_MARK_ERASED, event=target.edit_id)


def erase_message(transaction: Transaction, channel: Channel, target: Target) -> None:
    """Erase the text, mentions, reactions and pin of a message, and the texts of its changes."""
    where = {"channel": channel.id, "number": target.seq}
    _erase_current(transaction, channel, target)
    about = transaction.execute(_TEXTS_ABOUT, **where)
    blank(transaction, [row for row in about if row.id != target.edit_id])
    for statement in (_DELETE_REACTIONS, _DELETE_COUNTS, _DELETE_PIN):
        transaction.execute(statement, **where)
    erased = [target.id, *(row.id for row in about)]
    transaction.execute_many(_MARK_ERASED, [{"event": event_id} for event_id in erased])


def _erase_current(transaction: Transaction, channel: Channel, target: Target) -> None:
    """Erase the current text of a message, original or edited, and its mentions."""
    rows = transaction.execute(_TEXT, event=target.edit_id or target.id)
    for row in rows:
        transaction.index.remove(row.id, channel.id, target.seq, target.author_id, row.text)
    blank(transaction, rows)
    for seq in {target.seq, *(row.seq for row in rows)}:
        transaction.execute(_DELETE_MENTIONS, channel=channel.id, number=seq)


def has_text(row: Any) -> bool:
    """Whether an event is a line with a text of a user: a message, a topic, a reason of an act.

    `row` has the `flags` and the `text` of the event.
    """
    kind = kind_of(row.flags)
    if row.flags & ERASED:
        return False
    if kind in DETAILED_KINDS:
        return row.text is not None and without_reason(row.text) != row.text
    return kind in ("message", "topic")


def erase_line(transaction: Transaction, channel: Channel, row: Any) -> bool:
    """Erase the text of a line of `channel`; return whether it had one (`has_text`).

    `row` has the `id`, `seq`, `flags` and `text` of the event.
    """
    if not has_text(row):
        return False
    kind = kind_of(row.flags)
    if kind == "message":
        erase_message(transaction, channel, find_target(transaction, channel, row.seq))
    elif kind in DETAILED_KINDS:
        transaction.has_erased = True
        transaction.execute(_BLANK, event=row.id, blank=without_reason(row.text))
    else:
        blank(transaction, [row])
        transaction.execute(_MARK_ERASED, event=row.id)
    return True


def blank(transaction: Transaction, rows: Sequence[Any]) -> None:
    """Overwrite the texts of `rows`, each with the `id` and `text` of an event."""
    blanks = [{"event": row.id, "blank": " " * len(row.text.encode())} for row in rows]
    if blanks:
        transaction.has_erased = True
        transaction.execute_many(_BLANK, blanks)
