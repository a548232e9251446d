"""What a timeline shows, read from either end: the lines of a channel, of a thread, or its pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, true

from chat.core.rights import no_such_message
from chat.store.items import ROWS
from chat.store.prepared import Prepared
from chat.store.schema import events, pins

__all__ = ["ChannelLines", "Lines", "PinnedLines", "ThreadLines", "root_of"]

Rows = Sequence[Any]

_count = bindparam("count", type_=events.c.seq.type)
# The numbers come first, from an index that holds nothing else. In one query SQLite walks the log
# itself: past all that is folded into messages, and past all that is not of the thread or not
# pinned (126 ms where a message has 281,000 reactions).
_line = events.alias("line")
_in_channel = _line.c.channel_id == bindparam("channel")
_lines = select(_line.c.seq).where(_in_channel, _line.c.is_line == true())
_replies = select(_line.c.seq).where(_in_channel, _line.c.thread == bindparam("root"))
_pins = select(pins.c.target).where(pins.c.channel_id == bindparam("channel"))


def _before(numbers: Select[Any], number: ColumnElement[int]) -> Prepared:
    some = numbers.where(number < bindparam("anchor")).order_by(number.desc()).limit(_count)
    return Prepared(ROWS.where(events.c.seq.in_(some)).order_by(events.c.seq.desc()))


def _onward(numbers: Select[Any], number: ColumnElement[int]) -> Prepared:
    some = numbers.where(number >= bindparam("anchor")).order_by(number).limit(_count)
    return Prepared(ROWS.where(events.c.seq.in_(some)).order_by(events.c.seq))


_LINES_BEFORE, _LINES_ONWARD = _before(_lines, _line.c.seq), _onward(_lines, _line.c.seq)
_REPLIES_BEFORE, _REPLIES_ONWARD = _before(_replies, _line.c.seq), _onward(_replies, _line.c.seq)
_PINNED_BEFORE, _PINNED_ONWARD = _before(_pins, pins.c.target), _onward(_pins, pins.c.target)
_ONE = Prepared(ROWS.where(events.c.seq == bindparam("root")))
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
