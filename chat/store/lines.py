"""What a timeline shows, read from either end: the lines of a channel, of a thread, or its pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, func, select, true

from chat.core.rights import no_such_message
from chat.store.items import ROWS
from chat.store.prepared import Prepared
from chat.store.schema import events, pins

__all__ = ["ChannelLines", "Lines", "PinnedLines", "ThreadLines", "root_of"]

Rows = Sequence[Any]

_count = bindparam("count", type_=events.c.seq.type)
_is_before = events.c.seq < bindparam("anchor")
_is_onward = events.c.seq >= bindparam("anchor")
# The numbers come first, from the index of lines alone. In one query SQLite walks the log itself,
# past all that is folded: 126 ms where a message has 281,000 reactions.
_line = events.alias("line")
_numbers = select(_line.c.seq).where(
    _line.c.channel_id == bindparam("channel"), _line.c.is_line == true()
)
_before = _numbers.where(_line.c.seq < bindparam("anchor")).order_by(_line.c.seq.desc())
_onward = _numbers.where(_line.c.seq >= bindparam("anchor")).order_by(_line.c.seq)
_LINES_BEFORE = Prepared(
    ROWS.where(events.c.seq.in_(_before.limit(_count))).order_by(events.c.seq.desc())
)
_LINES_ONWARD = Prepared(ROWS.where(events.c.seq.in_(_onward.limit(_count))).order_by(events.c.seq))
_ONE = Prepared(ROWS.where(events.c.seq == bindparam("root")))
_REPLIES = ROWS.where(events.c.thread == bindparam("root"))
_REPLIES_BEFORE = Prepared(_REPLIES.where(_is_before).order_by(events.c.seq.desc()).limit(_count))
_REPLIES_ONWARD = Prepared(_REPLIES.where(_is_onward).order_by(events.c.seq).limit(_count))
_PINNED = ROWS.join(
    pins, (pins.c.channel_id == events.c.channel_id) & (pins.c.target == events.c.seq)
)
_PINNED_BEFORE = Prepared(_PINNED.where(_is_before).order_by(events.c.seq.desc()).limit(_count))
_PINNED_ONWARD = Prepared(_PINNED.where(_is_onward).order_by(events.c.seq).limit(_count))
_ROOT = Prepared(
    select(func.coalesce(events.c.thread, events.c.seq)).where(
        events.c.channel_id == bindparam("channel"),
        events.c.seq == bindparam("number"),
        events.c.kind == "message",
    )
)


class Lines(Protocol):
    """Lines in the order of `seq`, read a few at a time."""

    def before(self, anchor: int, count: int) -> Rows:
        """Return the last `count` lines below `anchor`, the newest first."""

    def onward(self, anchor: int, count: int) -> Rows:
        """Return the first `count` lines from `anchor` on."""


@dataclass(frozen=True, slots=True)
class ChannelLines:
    """All lines of a channel."""

    connection: Connection
    channel_id: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_LINES_BEFORE, anchor, count)

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_LINES_ONWARD, anchor, count)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        return statement.all(self.connection, channel=self.channel_id, anchor=anchor, count=count)


@dataclass(frozen=True, slots=True)
class ThreadLines:
    """A thread: the message `root`, which comes first of all, and every reply."""

    connection: Connection
    channel_id: int
    root: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        rows = self._rows(_REPLIES_BEFORE, anchor, count)
        return [*rows, *self._first()] if len(rows) < count and self.root < anchor else rows

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        first = self._first() if count and self.root >= anchor else []
        return [*first, *self._rows(_REPLIES_ONWARD, anchor, count - len(first))]

    def _first(self) -> Rows:
        return self._rows(_ONE, 0, 1)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        where = {"channel": self.channel_id, "root": self.root, "anchor": anchor, "count": count}
        return statement.all(self.connection, **where)


@dataclass(frozen=True, slots=True)
class PinnedLines:
    """The messages of a channel that are pinned."""

    connection: Connection
    channel_id: int

    def before(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_PINNED_BEFORE, anchor, count)

    def onward(self, anchor: int, count: int) -> Rows:
        """See `Lines`."""
        return self._rows(_PINNED_ONWARD, anchor, count)

    def _rows(self, statement: Prepared, anchor: int, count: int) -> Rows:
        return statement.all(self.connection, channel=self.channel_id, anchor=anchor, count=count)


def root_of(connection: Connection, channel_id: int, seq: int) -> int:
    """Return the root of the thread that the message `seq` is in, or could begin.

    Raises:
        CommandError: no_such_message.
    """
    root: int | None = _ROOT.scalar(connection, channel=channel_id, number=seq)
    if root is None:
        raise no_such_message("thread")
    return root
