"""Searching the logs that a person is in: newest first in each channel, merged by time.

Each channel is searched by itself, a few hits at a time and no further than a page needs; where
the next page begins is a number per channel, as with every other reading of logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from chat.core.query import Term
from chat.store import fulltext
from chat.store.ops import ChannelState, User
from chat.store.schema import bodies, channels, events, members, users
from chat.store.snippets import Marks, snippet

__all__ = ["Found", "FoundMessage", "Wanted", "rooms_of", "search"]

_FIRST, _MORE = 5, 50
"""Hits that are read of a channel: at first, for there may be many channels, and then."""

_ROOMS = (
    select(channels.c.id, channels.c.name, channels.c.epoch, channels.c.head, channels.c.topic)
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.user_id == bindparam("user"))
)
_HITS = (
    select(
        events.c.seq,
        events.c.ts,
        events.c.me,
        users.c.name.label("author"),
        bodies.c.text,
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .join(bodies, events.c.body_id == bodies.c.id)
    .where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq.in_(bindparam("numbers", expanding=True)),
    )
    .order_by(events.c.seq.desc())
)
# Halves the log until one number is left. Clocks may go back, and then it is about right.
_LAST_BEFORE = text("""
    WITH RECURSIVE bisect(low, high) AS (
        SELECT 0, :head
        UNION ALL
        SELECT CASE WHEN e.ts < :moment THEN e.seq ELSE low END,
            CASE WHEN e.ts < :moment THEN high ELSE e.seq - 1 END
        FROM bisect JOIN events e ON e.channel_id = :channel AND e.seq = (low + high + 1) / 2
        WHERE low < high
    )
    SELECT low FROM bisect WHERE low = high""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: messages that have all `terms`, and are as the other fields say.

    `before` and `after` are milliseconds since 1970 (`after` inclusive). `positions` are where
    earlier pages ended: only smaller numbers of those channels are looked at.
    """

    terms: tuple[Term, ...]
    author: str | None = None
    before: int | None = None
    after: int | None = None
    with_link: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)
    limit: int = 20


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """One message, as it is now; `marks` are in the snippet."""

    channel: str
    seq: int
    ts: int
    author: str
    me: bool
    snippet: str
    marks: Marks


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits; `positions`, if more may follow: of every channel that hits came from."""

    hits: tuple[FoundMessage, ...]
    positions: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class _Hit:
    room: ChannelState
    row: Any


def rooms_of(connection: Connection, user: User) -> list[ChannelState]:
    """Return the channels a person is in: all that they may search."""
    return [ChannelState(*row) for row in connection.execute(_ROOMS, {"user": user.id})]


def search(
    connection: Connection, rooms: Sequence[ChannelState], author_id: int | None, wanted: Wanted
) -> Found:
    """Return the newest hits in `rooms`, all of which the reader may read."""
    expression = fulltext.matching(wanted.terms, author_id, wanted.with_link)
    streams = [_stream(connection, room, expression, wanted) for room in rooms]
    newest = merge(*streams, key=lambda hit: hit.row.ts, reverse=True)
    page = list(islice(newest, wanted.limit + 1))
    hits, has_more = page[: wanted.limit], len(page) > wanted.limit
    marks = fulltext.marks(wanted.terms, [hit.row.text for hit in hits])
    positions = {**wanted.positions, **{hit.room.name: hit.row.seq for hit in hits}}
    return Found(
        tuple(_shown(hit, found) for hit, found in zip(hits, marks, strict=True)),
        positions if has_more else None,
    )


def _stream(
    connection: Connection, room: ChannelState, expression: str, wanted: Wanted
) -> Iterator[_Hit]:
    """Yield the hits in one channel, newest first, reading on as they are taken."""
    low, high = _bounds(connection, room, wanted)
    count = _FIRST
    while low <= high:
        found = fulltext.seqs(connection, expression, room.id, low, high, count)
        if found:
            where = {"channel": room.id, "numbers": found}
            for row in connection.execute(_HITS, where).all():
                if _is_within(row.ts, wanted):
                    yield _Hit(room, row)
        if len(found) < count:
            return
        high, count = found[-1] - 1, _MORE


def _bounds(connection: Connection, room: ChannelState, wanted: Wanted) -> tuple[int, int]:
    """Return the numbers of a channel that are to be looked at: from, to."""
    low, high = 1, min(room.head, wanted.positions.get(room.name, room.head + 1) - 1)
    where = {"channel": room.id, "head": room.head}
    if wanted.after is not None:
        low += connection.scalar(_LAST_BEFORE, {**where, "moment": wanted.after}) or 0
    if wanted.before is not None:
        high = min(high, connection.scalar(_LAST_BEFORE, {**where, "moment": wanted.before}) or 0)
    return low, high


def _is_within(ts: int, wanted: Wanted) -> bool:
    is_early_enough = wanted.before is None or ts < wanted.before
    return is_early_enough and (wanted.after is None or ts >= wanted.after)


def _shown(hit: _Hit, found: Marks) -> FoundMessage:
    row = hit.row
    piece, marks = snippet(row.text, found)
    return FoundMessage(hit.room.name, row.seq, row.ts, row.author, row.me, piece, marks)
