"""Erase texts that an edit or deletion replaces, in its transaction.

A body is overwritten in place with as many spaces (see `schema`); what named it then names nothing,
and no word of it finds it. The write-ahead log, and the pages of the index where SQLite is old,
hold it until the writer has purged them, which `Transaction.has_erased` asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update

from chat.store.schema import bodies, events, mentions, pins, reaction_counts, reactions
from chat.store.sql import Prepared
from chat.store.write.lookups import Channel
from chat.store.write.target import Target
from chat.store.write.transaction import Transaction

__all__ = ["erase_message", "erase_text"]

_BODY = Prepared(select(bodies.c.id, bodies.c.text).where(bodies.c.id == bindparam("body")))
# The numbers come first, from the index of targets alone: in one query SQLite walks the whole log.
_about = events.alias("about")
_is_about = (
    events.c.channel_id == bindparam("channel"),
    events.c.seq.in_(
        select(_about.c.seq).where(
            _about.c.channel_id == bindparam("channel"), _about.c.target == bindparam("number")
        )
    ),
)
_BODIES_ABOUT = Prepared(
    select(bodies.c.id, bodies.c.text)
    .join_from(events, bodies, events.c.body_id == bodies.c.id)
    .where(*_is_about)
)
_BLANK = Prepared(
    update(bodies).where(bodies.c.id == bindparam("body")).values(text=bindparam("blank"))
)
_ERASE = Prepared(
    update(events)
    .where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq == bindparam("number"),
    )
    .values(body_id=None, erased=True)
)
_ERASE_ABOUT = Prepared(
    update(events)
    .where(*_is_about, or_(events.c.kind == "edit", events.c.kind == "react"))
    .values(body_id=None, erased=True)
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
    """Erase the text a message has now, and the edit it came from; a new text is to follow."""
    _erase_body(transaction, channel, target)
    _delete_mentions(transaction, channel, target)
    if target.last_edit is not None:
        transaction.execute(_ERASE, channel=channel.id, number=target.last_edit)


def erase_message(transaction: Transaction, channel: Channel, target: Target) -> None:
    """Erase a message's text, mentions, reactions and pin, and the bodies of events about it."""
    where = {"channel": channel.id, "number": target.seq}
    _erase_body(transaction, channel, target)
    _blank(transaction, transaction.execute(_BODIES_ABOUT, **where))
    _delete_mentions(transaction, channel, target)
    for statement in (_DELETE_REACTIONS, _DELETE_COUNTS, _DELETE_PIN, _ERASE_ABOUT, _ERASE):
        transaction.execute(statement, **where)


def _erase_body(transaction: Transaction, channel: Channel, target: Target) -> None:
    rows = transaction.execute(_BODY, body=target.body_id)
    for row in rows:
        transaction.unindex(row.id, channel, target.seq, target.author_id, row.text)
    _blank(transaction, rows)


def _blank(transaction: Transaction, rows: Sequence[Any]) -> None:
    blanks = [{"body": row.id, "blank": " " * len(row.text.encode())} for row in rows]
    if blanks:
        transaction.has_erased = True
        transaction.execute_many(_BLANK, blanks)


def _delete_mentions(transaction: Transaction, channel: Channel, target: Target) -> None:
    for seq in (target.seq, target.last_edit):
        if seq is not None:
            transaction.execute(_DELETE_MENTIONS, channel=channel.id, number=seq)
