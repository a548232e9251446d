"""Search the user's channels, newest first in each, and merge the results by time.

Each channel is searched separately, a few hits at a time and only as far as the page needs. A page
has a time budget. The cursor of the next page is a seq per channel.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import positions_max
from chat.protocol.values import Limits
from chat.store.backend import Lookup
from chat.store.operations import ChannelState, User
from chat.store.schema import (
    ME,
    channels,
    events,
    folds,
    is_line,
    is_unerased,
    members,
    newest_ts,
    users,
)
from chat.store.search.match import Marks, Matcher, snippet
from chat.store.sql import Among, Prepared
from chat.store.words import window_start
from chat.tokenizer import Term

__all__ = [
    "Found",
    "FoundMessage",
    "SearchedChannel",
    "Wanted",
    "index_unavailable",
    "search",
    "searched_channels",
]

BUDGET = 0.1
"""Default processor time of one page in seconds; the next page continues from there."""
REBUILDING = "the server is rebuilding its search index; try again later"
CURSOR_SHARE = 0.75
"""Largest share of a client's frame for the cursor of a search."""
_POSITION_BYTES = 16
_FIRST, _MOST = 5, 40
"""Hits read from a channel at first, and the limit up to which that number is doubled."""
_NUMBERS = 100
"""Seqs read per index query: starting a query costs more than reading further."""

_SEARCHED = Prepared(
    select(
        channels.c.id,
        channels.c.name,
        channels.c.epoch,
        channels.c.head,
        channels.c.topic,
        newest_ts(channels).label("ts"),
    )
    .join_from(members, channels, members.c.channel_id == channels.c.id)
    .where(members.c.user_id == bindparam("user"), channels.c.deleted.is_(None))
    .order_by(
        channels.c.is_direct,
        members.c.hidden,
        members.c.counted.desc(),
        (members.c.read_seq > 0).desc(),
        newest_ts(channels).desc(),
    )
)
_edit = events.alias("edit")
_HITS = Among(
    select(
        events.c.seq,
        events.c.ts,
        events.c.flags,
        events.c.author_id,
        users.c.name.label("author"),
        func.coalesce(_edit.c.text, events.c.text).label("text"),
    )
    .join_from(events, users, events.c.author_id == users.c.id)
    .outerjoin(folds, folds.c.event_id == events.c.id)
    .outerjoin(_edit, _edit.c.id == folds.c.edit_id)
    .where(events.c.channel_id == bindparam("channel"), is_line, is_unerased("message"))
    .order_by(events.c.seq.desc()),
    events.c.seq,
)
_MOMENT = Prepared(
    select(events.c.ts)
    .where(
        events.c.channel_id == bindparam("channel"), events.c.seq <= bindparam("number"), is_line
    )
    .order_by(events.c.seq.desc())
    .limit(1)
)
_IN_TIME = Prepared(
    select(func.min(events.c.seq), func.max(events.c.seq)).where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq.between(bindparam("low"), bindparam("high")),
        is_line,
        events.c.ts >= bindparam("after"),
        events.c.ts < bindparam("before"),
    )
)
_EVER = 2**62
"""A time later than any message."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The criteria of a search; all `terms` must match.

    `before` and `after` are milliseconds since 1970 (`after` inclusive). `positions` holds the end
    of the previous page by channel: only lower seqs are searched. `budget` is the processor time in
    seconds.
    """

    terms: tuple[Term, ...]
    author: str | None = None
    before: int | None = None
    after: int | None = None
    with_link: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)
    limit: int = 20
    budget: float = BUDGET

    @property
    def is_timed(self) -> bool:
        """Whether the search is limited by time."""
        return self.before is not None or self.after is not None


class FoundMessage(NamedTuple):
    """A message in its current state; `marks` are ranges in the snippet."""

    channel: str
    seq: int
    ts: int
    author: str
    me: bool
    snippet: str
    marks: Marks


class Found(NamedTuple):
    """A page of hits; if more may follow, `positions` holds how far channels were searched."""

    hits: tuple[FoundMessage, ...]
    positions: Mapping[str, int] | None


class SearchedChannel(NamedTuple):
    """A channel to search, and the time of its last event."""

    channel: ChannelState
    last: int


class _Hit(NamedTuple):
    row: Any
    marks: Marks


def index_unavailable() -> CommandError:
    """Return the error of a search while the index is rebuilt."""
    return CommandError(ErrorCode.UNAVAILABLE, REBUILDING, retry_after=1.0)


def searched_channels(connection: Connection, user: User, limits: Limits) -> list[SearchedChannel]:
    """Return the user's channels, as many as fit into a cursor that fits into a frame.

    Direct channels that others opened and that the user has not read are left out first.
    """
    searched: list[SearchedChannel] = []
    size = CURSOR_SHARE * limits.frame
    for *row, last in _SEARCHED.all(connection, user=user.id):
        channel = SearchedChannel(ChannelState(*row), last or 0)
        size -= len(channel.channel.name) + _POSITION_BYTES
        if size < 0 or len(searched) == positions_max(limits):
            break
        searched.append(channel)
    return searched


def search(
    connection: Connection,
    lookup: Lookup,
    searched: Sequence[SearchedChannel],
    author_id: int | None,
    wanted: Wanted,
) -> Found:
    """Return the newest hits in `searched`, which the user may read.

    After `wanted.budget`, return the hits so far (maybe none) with `positions`.

    Raises:
        CommandError: unavailable, while the index is rebuilt.
    """
    if lookup.is_behind:
        raise index_unavailable()
    matcher = Matcher(wanted.terms, author_id, wanted.with_link)
    if not matcher.words:
        return Found((), None)
    streams = [_Stream(connection, lookup, channel, matcher, wanted) for channel in searched]
    hits, has_more = _newest(streams, wanted.limit, wanted.budget)
    positions = {
        **wanted.positions,
        **{each.name: each.position for each in streams if each.is_open},
    }
    return Found(tuple(hits), positions if has_more else None)


def _newest(
    streams: Sequence[_Stream], limit: int, budget: float
) -> tuple[list[FoundMessage], bool]:
    """Merge streams by time; return a page, and whether more may follow.

    A stream is read only if no other can have a newer hit, so most are never read.
    """
    end = time.thread_time() + budget
    hits: list[FoundMessage] = []
    queue = [(-stream.newest, number) for number, stream in enumerate(streams)]
    heapify(queue)
    is_late = False
    while queue:
        number = queue[0][1]
        stream = streams[number]
        if stream.hits:
            if len(hits) == limit:
                break
            hits.append(stream.take())
        elif is_late:
            break
        elif not stream.is_done:
            stream.read()
            is_late = time.thread_time() >= end
        if stream.is_done and not stream.hits:
            heappop(queue)
        else:
            heapreplace(queue, (-stream.newest, number))
    return hits, bool(queue)


class _Stream:
    """The hits in one channel, newest first, read in steps."""

    def __init__(
        self,
        connection: Connection,
        lookup: Lookup,
        searched: SearchedChannel,
        matcher: Matcher,
        wanted: Wanted,
    ) -> None:
        self.name = searched.channel.name
        self.hits: deque[_Hit] = deque()
        """Hits that are read but not taken."""
        self.is_open = False
        """Whether the stream has been read."""
        self._connection = connection
        self._lookup = lookup
        self._channel = searched.channel
        self._matcher = matcher
        self._wanted = wanted
        head = searched.channel.head
        self._numbers: deque[int] = deque()  # seqs of hits to read
        self._high = min(head, wanted.positions.get(self.name, head + 1) - 1)
        """The highest seq that is not searched yet."""
        self._window = 0  # start of the window whose times were checked last
        self._first = 1  # its first message in the time range
        self._count = _FIRST
        self.newest = searched.last if self._high == head else self._moment()
        """Upper bound of the times of the hits to come."""

    @property
    def is_done(self) -> bool:
        """Whether the channel is searched completely."""
        return self._high < 1 and not self._numbers

    @property
    def position(self) -> int:
        """All hits that were not taken have lower seqs."""
        if self.hits:
            return int(self.hits[0].row.seq) + 1
        return (self._numbers[0] if self._numbers else self._high) + 1

    def take(self) -> FoundMessage:
        """Remove and return the newest hit."""
        hit = self.hits.popleft()
        self.newest = (self.hits[0] if self.hits else hit).row.ts
        row = hit.row
        piece, marks = snippet(row.text, hit.marks)
        return FoundMessage(
            self.name, row.seq, row.ts, row.author, bool(row.flags & ME), piece, marks
        )

    def read(self) -> None:
        """Search the next part of the channel, which may contain no hits."""
        if not self.is_open:
            self.is_open = True
        if not self._numbers:
            self._look()
        count = min(self._count, len(self._numbers))
        self._keep([self._numbers.popleft() for _ in range(count)])
        self._count = min(2 * self._count, _MOST)
        if self.hits:
            self.newest = self.hits[0].row.ts
        elif not self.is_done:
            self.newest = self._moment()

    def _look(self) -> None:
        channel, high = self._channel.id, self._high
        low = 1
        words = self._matcher.words
        if self._wanted.is_timed or self._lookup.is_windowed(words):
            low = window_start(high)
        if self._wanted.is_timed and low != self._window:
            self._window = low
            self._first, last = self._in_time(low, high)
            high = self._high = last
            if not last:
                self._high = low - 1
                return
        first = max(low, self._first)
        found, lowest = self._lookup.look(words, channel, first, high, _NUMBERS)
        self._high = (low if lowest == first else lowest) - 1
        self._numbers.extend(found)

    def _moment(self) -> int:
        number = self.position - 1
        return _MOMENT.scalar(self._connection, channel=self._channel.id, number=number) or 0

    def _in_time(self, low: int, high: int) -> tuple[int, int]:
        """Return the first and the last message in the time range, of a part of the channel.

        Clocks may go backwards, so messages between the two may be outside the range.
        """
        after, before = self._wanted.after, self._wanted.before
        first, last = _IN_TIME.all(
            self._connection,
            channel=self._channel.id,
            low=low,
            high=high,
            after=after or 0,
            before=_EVER if before is None else before,
        )[0]
        return first or 0, last or 0

    def _keep(self, found: Sequence[int]) -> None:
        if not found:
            return
        rows = [
            row
            for row in _HITS.rows(self._connection, found, channel=self._channel.id)
            if _is_within(row.ts, self._wanted)
        ]
        pairs = ((row, self._matcher.marks(row.author_id, row.text)) for row in rows)
        self.hits.extend(_Hit(row, marks) for row, marks in pairs if marks is not None)


def _is_within(ts: int, wanted: Wanted) -> bool:
    is_early_enough = wanted.before is None or ts < wanted.before
    return is_early_enough and (wanted.after is None or ts >= wanted.after)
