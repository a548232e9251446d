"""Erase a deleted channel in small steps: its texts, and what refers to its messages and members.

The rule that deletes a channel frees its name, ends the memberships, and adds the job (see
`membership` and `jobs`). Each step erases the texts of the next lines, and of the changes to them.

The rows of the events stay, with blanks instead of texts. To delete them would make SQLite move the
rows of other channels between pages and leave copies of these, which a later erasure would not find
(see `schema`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, func, select, union_all, update

from chat.store.schema import (
    ERASED,
    channel_bans,
    channel_invitations,
    channels,
    events,
    folds,
    followed_threads,
    is_change,
    is_line,
    is_unerased,
    mentions,
    mutes,
    pins,
    reaction_counts,
    reactions,
)
from chat.store.sql import Prepared
from chat.store.write.messages.erasure import TEXTS, blank
from chat.store.write.transaction import JobProgress, Transaction

__all__ = ["erase_channel_step"]

_of_channel = events.c.channel_id == bindparam("channel")
_low = bindparam("low", type_=events.c.seq.type)
_high = bindparam("high", type_=events.c.seq.type)
_NEXT_LINES = Prepared(
    select(events.c.seq)
    .where(_of_channel, is_line, events.c.seq > _low)
    .order_by(events.c.seq)
    .limit(TEXTS)
)
_is_line_here = (_of_channel, is_line, events.c.seq > _low, events.c.seq <= _high)
_is_change_here = (_of_channel, is_change, events.c.target > _low, events.c.target <= _high)
_row = (events.c.id, events.c.flags, events.c.text)
_ROWS = Prepared(
    union_all(select(*_row).where(*_is_line_here), select(*_row).where(*_is_change_here))
)
_edit = events.alias("edit")
_INDEXED = Prepared(
    select(
        func.coalesce(_edit.c.id, events.c.id),
        events.c.seq,
        events.c.author_id,
        func.coalesce(_edit.c.text, events.c.text),
    )
    .outerjoin_from(events, folds, folds.c.event_id == events.c.id)
    .outerjoin(_edit, _edit.c.id == folds.c.edit_id)
    .where(*_is_line_here, is_unerased("message"))
)
_MARK_ERASED = Prepared(
    update(events)
    .where(events.c.id == bindparam("event"))
    .values(flags=events.c.flags.bitwise_or(ERASED))
)
_ABOUT_MESSAGES = tuple(
    Prepared(
        delete(table).where(
            table.c.channel_id == bindparam("channel"), number > _low, number <= _high
        )
    )
    for table, number in (
        (mentions, mentions.c.seq),
        (reactions, reactions.c.target),
        (reaction_counts, reaction_counts.c.target),
        (pins, pins.c.target),
    )
)
_REST = tuple(
    Prepared(delete(table).where(table.c.channel_id == bindparam("channel")))
    for table in (mentions, mutes, channel_bans, channel_invitations, followed_threads)
)
_CLEAR = Prepared(
    update(channels)
    .where(channels.c.id == bindparam("channel"))
    .values(topic="", settings="", expired=channels.c.head)
)


def erase_channel_step(transaction: Transaction, arguments: dict[str, Any]) -> JobProgress:
    """Run the next step for the channel with the id `channel`, from the seq `place` on."""
    channel, low = arguments["channel"], arguments.get("place", 0)
    lines = transaction.execute(_NEXT_LINES, channel=channel, low=low)
    if lines:
        high = lines[-1].seq
        _erase_range(transaction, channel, low, high)
        return JobProgress({"channel": channel, "place": high})
    for statement in _REST:
        transaction.execute(statement, channel=channel)
    transaction.execute(_CLEAR, channel=channel)
    transaction.has_erased = True  # the name and the topic, from the write-ahead log
    return JobProgress({}, {})


def _erase_range(transaction: Transaction, channel: int, low: int, high: int) -> None:
    """Erase the lines after `low` up to `high`, and the changes to them."""
    where = {"channel": channel, "low": low, "high": high}
    for event_id, seq, author_id, text in transaction.execute(_INDEXED, **where):
        transaction.index.remove(event_id, channel, seq, author_id, text)
    rows = [row for row in transaction.execute(_ROWS, **where) if not row.flags & ERASED]
    blank(transaction, [row for row in rows if row.text is not None])
    transaction.execute_many(_MARK_ERASED, [{"event": row.id} for row in rows])
    for statement in _ABOUT_MESSAGES:
        transaction.execute(statement, **where)
