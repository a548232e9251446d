"""The viewport: all loaded messages as one page, of which only the visible part is laid out.

Only what the window shows is wrapped. Heights of the rest are estimates, exact once they were seen.
The window hangs on an anchor: a line and a row counted from where its text begins, or the bottom.
So whatever comes in above, below or in between, and however wide the screen is, what one reads
stays where it is.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import NamedTuple

from chat.client.model.state import Message
from chat.client.presenter.log import Key, Log, Splices, Step
from chat.client.tui.timeline.heights import Heights
from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.neighbors import Joins, around, fold_bounds
from chat.client.tui.timeline.renderer import Block, Renderer

__all__ = ["BlockCache", "Row", "Viewport", "Window"]


_LINES_MAX = 1_000


class BlockCache:
    """Blocks by the keys of their messages; those not used for longest go first."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Key, Block] = OrderedDict()
        self._lines = 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._blocks)

    def get(self, key: Key) -> Block | None:
        """Return a message's block, if it is at hand."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: Key, block: Block) -> None:
        """Keep a block; others may have to go, never itself."""
        self.drop(key)
        self._blocks[key] = block
        self._lines += 1 + len(block.lines)
        while self._lines > _LINES_MAX and len(self._blocks) > 1:
            self.drop(next(iter(self._blocks)))

    def drop(self, key: Key) -> None:
        """Let go of a block."""
        if (block := self._blocks.pop(key, None)) is not None:
            self._lines -= 1 + len(block.lines)

    def clear(self) -> None:
        """Let go of all."""
        self._blocks.clear()
        self._lines = 0


_PINS_FROM = 5
"""Rows of the window from which there is room for a pinned header."""
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
        """Whether the message begins here without a header that tells the time."""
        lead = self.block.lead
        return self.number == lead and not (lead and self.block.lines[lead - 1].gutter)


@dataclass(slots=True)
class Window:
    """What is to be seen.

    Args:
        rows: from the top; fewer than the window is high only if there are no more.
        first, last: indices of the first and the last line that show.
        top: row of the whole sheet at which the window begins.
        total: rows of the whole sheet.
        at_end: whether the last row of all shows.
    """

    rows: list[Row]
    first: int = 0
    last: int = -1
    top: int = 0
    total: int = 0
    at_end: bool = True


class Viewport:
    """Lines, their heights, and the window on them."""

    def __init__(
        self, log: Log, renderer: Renderer, height: int = 24, joins: Joins = "all"
    ) -> None:
        self.log = log
        """Another keeps it, and gives each change to `apply`."""
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
        if len(log):
            self._splice("insert", 0, list(log))

    # What comes in

    def apply(self, done: Splices) -> None:
        """Follow a change of the log; the window follows with the next `settle`."""
        if done.change.reset:
            self._forget()
        for step, index, messages in done.steps:
            self._splice(step, index, messages)
        if self._anchor and self._anchor[0] in done.renamed:
            self._anchor = (done.renamed[self._anchor[0]], self._anchor[1])
        may_speak = self.joins == "spoken" and done.has_new_speakers
        self._touch(done.touched | self._comings() if may_speak else done.touched)

    def restyle(self, renderer: Renderer, height: int) -> None:
        """Lay out anew, for another width, palette or reader; nothing is wrapped yet."""
        again = renderer.column != self.renderer.column or renderer.airy != self.renderer.airy
        self.renderer, self.height = renderer, height
        self._blocks.clear()
        if again:
            self._heights.replace(self._estimates(0, len(self.log)))

    @property
    def unread(self) -> Key | None:
        """The line above which the unread rule stands."""
        return self._unread

    @unread.setter
    def unread(self, key: Key | None) -> None:
        before, self._unread = self._unread, key
        if before != key:
            self._touch({changed for changed in (before, key) if changed is not None})

    # Where the window is

    @property
    def anchor(self) -> tuple[Key, int] | None:
        """The line at the window's top and the row within its text; None: at the bottom."""
        return self._anchor

    @anchor.setter
    def anchor(self, anchor: tuple[Key, int] | None) -> None:
        self._anchor = anchor

    @property
    def rows(self) -> list[Row]:
        """The window's rows; the first tells who wrote it where the author's header is out of view.

        Not where the next row belongs to another author: then the text would be hidden whole.
        """
        rows = self.window.rows
        if len(rows) < _PINS_FROM:
            return rows
        row, below = rows[:2]
        is_headless = row.number >= row.block.lead and not row.line.gutter
        goes_on = below.number >= below.block.lead and not below.line.gutter
        if row.message.kind != "message" or not is_headless or not goes_on:
            return rows
        return [row._replace(line=self.renderer.pinned(row.message)), *rows[1:]]

    def scroll(self, rows: int) -> None:
        """Move the window down, or up if `rows` is negative."""
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
        """Move the window's top to a row of the whole sheet: exact near by, estimated far away."""
        window = self.settle()
        if abs(row - window.top) <= 4 * self.height:
            self.scroll(row - window.top)
        elif len(self.log):
            index, line = self._heights.at(row)
            self._hang(index, min(line, max(0, len(self.block(index).lines) - 1)))

    def show(self, index: int, above: int) -> None:
        """Move the window so that the text of a line begins `above` rows below its top."""
        self._anchor = (self.log.key(index), -above)
        window = self.settle()
        if not window.at_end and window.rows:
            self._hang(window.first, window.rows[0].number)

    def show_top(self) -> None:
        """Move the window to the first row of all."""
        index = 0
        while index < len(self.log) - 1 and not self.block(index).lines:
            index += 1
        if len(self.log):
            self._hang(index, 0)

    def reveal(self, index: int) -> None:
        """Move the window as little as needed to show a line, or its top if it is higher."""
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
        """Lay out what the window shows, and say what that is."""
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
        """Return the last line of which nothing is left to show below line `last`."""
        end = min(last + _LOOKAHEAD, len(self.log) - 1)
        while last < end and not self.block(last + 1).lines:
            last += 1
        return last

    def _position(self, anchor: tuple[Key, int]) -> tuple[int, int]:
        """Find the line and its row that an anchor means now."""
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
        """Add rows from a line on until the window is full; return the last line that shows."""
        last = index
        while index < len(self.log) and len(rows) < self.height:
            block, key, message = self.block(index), self.log.key(index), self.log[index]
            for number in range(line, min(len(block.lines), line + self.height - len(rows))):
                rows.append(Row(key, index, message, number, block.lines[number], block))
                last = index
            index, line = index + 1, 0
        return last

    def _fill_up(self, rows: list[Row], index: int) -> int:
        """Put rows before others, from the end of a line up; return the first line that shows."""
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
        """Return a line laid out, from the cache if it is there."""
        key = self.log.key(index)
        block = self._blocks.get(key)
        if block is not None:
            return block
        block = self.renderer.block(
            self.log[index], around(self.log, index, self._unread, self.joins)
        )
        self._heights.set(index, len(block.lines))
        self._blocks.put(key, block)
        return block

    def _comings(self) -> set[Key]:
        """Return the joins and leaves that are laid out: some of their people may now speak."""
        found = ((key, self.log.find(key)) for key in self._blocks)
        return {
            key for key, at in found if at is not None and self.log[at].kind in ("join", "leave")
        }

    def _touch(self, keys: Collection[Key]) -> None:
        """Lay out lines anew when they show next, and those whose looks depend on them."""
        done = -1
        for index in sorted(index for index in map(self.log.find, keys) if index is not None):
            last = min(index + 1, len(self.log) - 1)
            if last > done:
                last = fold_bounds(self.log, last, self._unread)[1]
                last += self.joins != "all" and last < len(self.log) - 1  # it may look past the run
            for number in range(max(done + 1, index - 1), last + 1):
                self._blocks.drop(self.log.key(number))
            done = max(done, last)
        for key in keys:
            self._blocks.drop(key)
            for reply in self._replies.get(key, ()) if isinstance(key, int) else ():
                self._blocks.drop(reply)

    def _splice(self, step: Step, index: int, messages: Sequence[Message]) -> None:
        """Follow one step of the log with what is kept per line."""
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
        """Guess heights from lengths, without looking at any text."""
        rows = _rows_of_length(self.renderer.column)
        return array("i", map(add, map(rows, self._lengths[start:end]), self._fixed[start:end]))

    def _forget(self) -> None:
        self._heights = Heights()
        self._lengths, self._fixed = array("H"), array("B")
        self._blocks.clear()
        self._replies.clear()


@lru_cache(4)
def _rows_of_length(column: int) -> Callable[[int], int]:
    """Return a quick way from a text's length to the rows that it fills."""
    return [-(-length // column) for length in range(_LONGEST + 1)].__getitem__


def _fixed_lines(message: Message, above: Message | None) -> int:
    """Guess the rows that a message takes besides its wrapped text."""
    if message.kind != "message":
        return 0
    header = above is None or above.author != message.author
    extra = (
        header + message.text.count("\n") + (message.reply_to is not None) + bool(message.reactions)
    )
    return min(extra, 250)
