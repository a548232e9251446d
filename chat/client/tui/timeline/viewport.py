"""The viewport: all loaded messages as one page, of which only the visible part is laid out.

Only visible messages are wrapped. The heights of others are estimates until they have been visible.
The window's position is an anchor: a message and a row counted from the start of its text, or the
bottom. So the visible text stays in place when messages are added or removed, or the width changes.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import NamedTuple

from chat.client.model.state import Message
from chat.client.presenter.log import Key, Log, Splices, Step
from chat.client.tui.timeline.heights import Heights
from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.neighbors import Folding, Joins, around, fold_bounds, shows_all
from chat.client.tui.timeline.renderer import Block, Renderer

__all__ = ["BlockCache", "Row", "Viewport", "Window"]


_LINES_MAX = 1_000


class BlockCache:
    """An LRU cache of blocks, by message key; holds at most 1,000 lines."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Key, Block] = OrderedDict()
        self._lines = 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._blocks)

    def get(self, key: Key) -> Block | None:
        """Return a message's block, if it is cached."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: Key, block: Block) -> None:
        """Add a block; evict others if the cache is full."""
        self.drop(key)
        self._blocks[key] = block
        self._lines += 1 + len(block.lines)
        while self._lines > _LINES_MAX and len(self._blocks) > 1:
            self.drop(next(iter(self._blocks)))

    def drop(self, key: Key) -> None:
        """Remove a block, if it is cached."""
        if (block := self._blocks.pop(key, None)) is not None:
            self._lines -= 1 + len(block.lines)

    def clear(self) -> None:
        """Remove all blocks."""
        self._blocks.clear()
        self._lines = 0


_PINS_FROM = 5
"""Minimum height of a window with a pinned header."""
_LONGEST = 8_191
_LOOKAHEAD = 300


class Row(NamedTuple):
    """One row of the window: line `number` of the block of the message at index `at`."""

    key: Key
    at: int
    message: Message
    number: int
    line: Line
    block: Block

    @property
    def lacks_time(self) -> bool:
        """Whether this is the first row of a message without a header, which shows the time."""
        lead = self.block.lead
        return self.number == lead and not (lead and self.block.lines[lead - 1].gutter)


@dataclass(slots=True)
class Window:
    """The visible rows.

    Args:
        rows: from the top; fewer than the height only if all rows fit.
        first, last: indices of the first and the last visible message.
        top: the window's first row, counted from the first row of the page.
        total: rows of the page.
        at_end: whether the page's last row is visible.
    """

    rows: list[Row]
    first: int = 0
    last: int = -1
    top: int = 0
    total: int = 0
    at_end: bool = True


class Viewport:
    """A page of messages, their heights, and the window on it."""

    def __init__(
        self,
        log: Log,
        renderer: Renderer,
        height: int = 24,
        joins: Joins = "all",
        is_folded: Folding = shows_all,
    ) -> None:
        self.log = log
        """The messages; the owner passes each change to `apply`."""
        self.joins: Joins = joins
        self.renderer = renderer
        self.height = height
        """Rows of the window."""
        self.window = Window([])
        """As of the last `settle`."""
        self._heights = Heights()
        self._lengths = array("H")
        self._fixed = array("B")
        self._blocks = BlockCache()
        self._replies: dict[int, set[Key]] = {}
        self._anchor: tuple[Key, int] | None = None
        self._unread: Key | None = None
        self._is_folded = is_folded
        self._waiting: dict[int, int] = {}
        if len(log):
            self._splice("insert", 0, list(log))

    # Changes

    def apply(self, done: Splices) -> None:
        """Apply a change of the log; the next `settle` updates the window."""
        if done.change.reset:
            self._forget()
        for step, index, messages in done.steps:
            self._splice(step, index, messages)
        if self._anchor and self._anchor[0] in done.renamed:
            self._anchor = (done.renamed[self._anchor[0]], self._anchor[1])
        may_speak = self.joins == "spoken" and done.has_new_speakers
        self._touch(done.touched | self._comings() if may_speak else done.touched)

    def restyle(self, renderer: Renderer, height: int) -> None:
        """Discard the layout, for another width, palette or reader; `settle` wraps again."""
        again = renderer.column != self.renderer.column or renderer.airy != self.renderer.airy
        self.renderer, self.height = renderer, height
        self._blocks.clear()
        if again:
            self._heights.replace(self._estimates(0, len(self.log)))

    def refold(self, is_folded: Folding) -> None:
        """Lay out again: other messages are folded."""
        self._is_folded = is_folded
        self._blocks.clear()

    @property
    def waiting(self) -> Mapping[int, int]:
        """The numbers of unread replies by the root of their thread."""
        return self._waiting

    @waiting.setter
    def waiting(self, waiting: Mapping[int, int]) -> None:
        before, self._waiting = self._waiting, dict(waiting)
        self._touch({root for root, _ in before.items() ^ self._waiting.items()})

    @property
    def unread(self) -> Key | None:
        """The key of the message below the unread rule."""
        return self._unread

    @unread.setter
    def unread(self, key: Key | None) -> None:
        before, self._unread = self._unread, key
        if before != key:
            self._touch({changed for changed in (before, key) if changed is not None})

    # Scroll position

    @property
    def anchor(self) -> tuple[Key, int] | None:
        """The message at the top, and the row counted from its text; None: at the bottom."""
        return self._anchor

    @anchor.setter
    def anchor(self, anchor: tuple[Key, int] | None) -> None:
        self._anchor = anchor

    @property
    def rows(self) -> list[Row]:
        """The visible rows; if the first author's header is out of view, the first row names them.

        The header replaces that row. If no other row of the author follows, the header precedes its
        text instead.
        """
        rows = self.window.rows
        if len(rows) < _PINS_FROM:
            return rows
        row, below = rows[:2]
        is_headless = row.number >= row.block.lead and not row.line.gutter
        if row.message.kind != "message" or not is_headless:
            return rows
        goes_on = below.number >= below.block.lead and not below.line.gutter
        line = self.renderer.pinned(row.message, None if goes_on else row.line)
        return [row._replace(line=line), *rows[1:]]

    def scroll(self, rows: int) -> None:
        """Scroll down by `rows`, up if negative."""
        window = self.settle()
        if not window.rows:
            return
        index, line = window.first, window.rows[0].number + rows
        while line < 0 and index > 0:
            index -= 1
            line += len(self.block(index).lines)
        while index < len(self.log) - 1 and line >= (height := len(self.block(index).lines)):
            line -= height
            index += 1
        self._hang(index, max(0, line))

    def scroll_to(self, row: int) -> None:
        """Scroll to a row of the page; beyond four screens its position is estimated."""
        window = self.settle()
        if abs(row - window.top) <= 4 * self.height:
            self.scroll(row - window.top)
        elif len(self.log):
            index, line = self._heights.at(row)
            self._hang(index, min(line, max(0, len(self.block(index).lines) - 1)))

    def show(self, index: int, above: int) -> None:
        """Scroll so that the text of a message begins `above` rows below the top."""
        self._anchor = (self.log.key(index), -above)
        window = self.settle()
        if not window.at_end and window.rows:
            self._hang(window.first, window.rows[0].number)

    def show_top(self) -> None:
        """Scroll to the first row."""
        index = 0
        while index < len(self.log) - 1 and not self.block(index).lines:
            index += 1
        if len(self.log):
            self._hang(index, 0)

    def reveal(self, index: int) -> None:
        """Scroll as little as needed to show a message, or its top if it is too high."""
        window = self.settle()
        height = len(self.block(index).lines)
        if not height or not window.rows:
            return
        top = self._heights.before(index)
        pinned = 0 if self.block(index).lead or self.height < _PINS_FROM else 1
        if top - pinned < window.top or height >= self.height:
            self._hang(index, -pinned)
        elif top + height > window.top + self.height:
            rows, at = self.height - height, index
            while rows > 0 and at > 0:
                at -= 1
                rows -= len(self.block(at).lines)
            self._hang(at, max(0, -rows))

    def _hang(self, index: int, line: int) -> None:
        self._anchor = (self.log.key(index), line - self.block(index).lead)
        self.settle()

    def settle(self) -> Window:
        """Lay out the visible messages; return the window."""
        if not len(self.log) or self.height < 1:
            self.window = Window([])
            return self.window
        rows: list[Row] = []
        if self._anchor is not None:
            first, line = self._position(self._anchor)
            last = self._fill_down(rows, first, line)
        if self._anchor is None or len(rows) < self.height:
            rows, last = [], len(self.log) - 1
            first = self._fill_up(rows, last)
        is_whole = not rows or rows[-1].number == len(rows[-1].block.lines) - 1
        last = self._past_silence(last) if is_whole else last
        at_end = is_whole and last == len(self.log) - 1
        if at_end:
            self._anchor = None
        top = self._heights.before(first) + (rows[0].number if rows else 0)
        self.window = Window(rows, first, last, top, self._heights.total, at_end)
        return self.window

    def _past_silence(self, last: int) -> int:
        """Return the last of the messages without rows that follow `last`, or `last`."""
        end = min(last + _LOOKAHEAD, len(self.log) - 1)
        while last < end and not self.block(last + 1).lines:
            last += 1
        return last

    def _position(self, anchor: tuple[Key, int]) -> tuple[int, int]:
        """Return the message index and the row of its block at an anchor."""
        key, offset = anchor
        index = self.log.find(key)
        if index is None:
            near = self.log.index_from(key) if isinstance(key, int) and key >= 0 else len(self.log)
            index = min(near, len(self.log) - 1)
        block = self.block(index)
        while not block.lines and index < len(self.log) - 1:
            index += 1
            block = self.block(index)
        line = min(block.lead + offset, len(block.lines) - 1)
        while line < 0 and index > 0:
            index -= 1
            line += len(self.block(index).lines)
        return index, max(0, line)

    def _fill_down(self, rows: list[Row], index: int, line: int) -> int:
        """Append rows of messages from `index` on; return the index of the last visible one."""
        last = index
        while index < len(self.log) and len(rows) < self.height:
            block, key, message = self.block(index), self.log.key(index), self.log[index]
            for number in range(line, min(len(block.lines), line + self.height - len(rows))):
                rows.append(Row(key, index, message, number, block.lines[number], block))
                last = index
            index, line = index + 1, 0
        return last

    def _fill_up(self, rows: list[Row], index: int) -> int:
        """Prepend rows of messages up from `index`; return the index of the first visible one."""
        first = index
        while index >= 0 and len(rows) < self.height:
            block, key, message = self.block(index), self.log.key(index), self.log[index]
            start = max(0, len(block.lines) - (self.height - len(rows)))
            shown = enumerate(block.lines[start:], start)
            rows[:0] = [Row(key, index, message, number, line, block) for number, line in shown]
            if block.lines:
                first = index
            index -= 1
        return first

    # Blocks and heights

    def block(self, index: int) -> Block:
        """Return the block of a message, from the cache if possible."""
        key = self.log.key(index)
        block = self._blocks.get(key)
        if block is not None:
            return block
        near = around(self.log, index, self._unread, self.joins, self._is_folded, self._waiting)
        block = self.renderer.block(self.log[index], near)
        self._heights.set(index, len(block.lines))
        self._blocks.put(key, block)
        return block

    def _comings(self) -> set[Key]:
        """Return the keys of cached joins and leaves, which new speakers may make visible."""
        found = ((key, self.log.find(key)) for key in self._blocks)
        return {key for key, at in found if at is not None and self.log[at].is_passage}

    def _touch(self, keys: Collection[Key]) -> None:
        """Drop the blocks of messages, and those that depend on them: neighbors and replies."""
        done = -1
        for index in sorted(index for index in map(self.log.find, keys) if index is not None):
            last = min(index + 1, len(self.log) - 1)
            if last > done:
                last = fold_bounds(self.log, last, self._unread, self._is_folded)[1]
                last += self.joins != "all" and last < len(self.log) - 1  # looks past the run
            for number in range(max(done + 1, index - 1), last + 1):
                self._blocks.drop(self.log.key(number))
            done = max(done, last)
        for key in keys:
            self._blocks.drop(key)
            for reply in self._replies.get(key, ()) if isinstance(key, int) else ():
                self._blocks.drop(reply)

    def _splice(self, step: Step, index: int, messages: Sequence[Message]) -> None:
        """Apply one step of a change of the log to the per-message arrays."""
        old = index if step == "insert" else index + 1
        new = () if step == "remove" else messages
        self._lengths[index:old] = array("H", [min(len(m.text), _LONGEST) for m in new])
        self._fixed[index:old] = array("B", map(_fixed_lines, new, [None, *new]))
        if step == "remove":
            self._heights.remove(index)
        elif step == "insert":
            self._heights.insert(index, self._estimates(index, index + len(new)))
        for message in new:
            key = message.seq if message.seq is not None else message.cid
            if message.reply_to is not None and key is not None:
                self._replies.setdefault(message.reply_to, set()).add(key)

    def _estimates(self, start: int, end: int) -> array[int]:
        """Estimate heights from text lengths."""
        rows = _rows_of_length(self.renderer.column)
        return array("i", map(add, map(rows, self._lengths[start:end]), self._fixed[start:end]))

    def _forget(self) -> None:
        self._heights = Heights()
        self._lengths, self._fixed = array("H"), array("B")
        self._blocks.clear()
        self._replies.clear()


@lru_cache(4)
def _rows_of_length(column: int) -> Callable[[int], int]:
    """Return a table lookup from a text's length to its number of rows."""
    return [-(-length // column) for length in range(_LONGEST + 1)].__getitem__


def _fixed_lines(message: Message, above: Message | None) -> int:
    """Estimate the rows of a message in addition to its wrapped text."""
    if message.kind != "message":
        return 0
    header = above is None or above.author != message.author
    extra = (
        header + message.text.count("\n") + (message.reply_to is not None) + bool(message.reactions)
    )
    return min(extra, 250)
