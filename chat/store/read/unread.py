"""Unread counts: one definition for the writer and for readers.

Unread messages are undeleted messages of other users above the read marker. They are counted up to
a limit and among the newest events only, so that the cost is bounded.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    select,
)

from chat.store.schema import channels, events, is_line, is_unerased, members, mentions

__all__ = ["COUNTS_OF_ONE", "mentions_above", "unread_above"]

WINDOW = 10_000
"""Newest events of a channel among which unread messages are counted."""

_LIMIT = bindparam("unread_limit", type_=members.c.read_seq.type)
_floor = case(
    (channels.c.head - WINDOW > members.c.read_seq, channels.c.head - WINDOW),
    else_=members.c.read_seq,
)
_is_unread: tuple[ColumnElement[bool], ...] = (
    is_line,
    is_unerased("message"),
    events.c.author_id != members.c.user_id,
)


def _count(rows: Select[Any]) -> ScalarSelect[int]:
    bounded = rows.correlate(members, channels).limit(_LIMIT).subquery()
    return select(func.count()).select_from(bounded).scalar_subquery()


unread_above = _count(
    select(literal_column("1").label("one")).where(
        events.c.channel_id == members.c.channel_id, events.c.seq > _floor, *_is_unread
    )
)
"""Unread messages of a row of `members` joined with `channels` in the enclosing query."""

mentions_above = _count(
    select(literal_column("1").label("one"))
    .join_from(
        mentions,
        events,
        # The sum makes SQLite start from the mentions instead of all newer messages.
        (events.c.channel_id == mentions.c.channel_id)
        & (events.c.seq == mentions.c.seq + literal_column("0")),
    )
    .where(
        mentions.c.user_id == members.c.user_id,
        mentions.c.channel_id == members.c.channel_id,
        mentions.c.seq > _floor,
        *_is_unread,
    )
)
"""Unread messages that mention the user."""

COUNTS_OF_ONE = (
    select(members.c.read_seq, unread_above, mentions_above)
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.channel_id == bindparam("channel"), members.c.user_id == bindparam("user"))
)
"""Read marker, unread count and mentions of `user` in `channel`, up to `unread_limit`."""
