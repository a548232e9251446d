"""Paint rows as strips, with cursor and selection; unchanged rows are not painted again.

A row's number in a selection combines the message's seq and the row within its text (rows above the
text count backwards), so the number stays valid while messages are added or removed around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset
from textual.selection import Selection
from textual.strip import Strip

from chat.client.presenter.log import Key
from chat.client.tui.timeline.graphemes import cluster_boundary
from chat.client.tui.timeline.layout import highlighted
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer
from chat.client.tui.timeline.viewport import Row, Viewport

__all__ = ["FORGET_EVERY", "Frame", "Painter", "forget_styles", "row_number", "selected_text"]


_ROWS = 1 << 20  # more than the rows of any message
_UNNUMBERED = 1 << 53  # above every seq: messages without a seq are below


def row_number(row: Row) -> int:
    """Return the number of a row for selections; it increases from row to row."""
    return _number(row.message.seq, row.at, row.number - row.block.lead)


def _number(seq: int | None, at: int, row: int) -> int:
    return (_UNNUMBERED + at if seq is None else seq) * _ROWS + _ROWS // 2 + row


def selected_text(sheet: Viewport, selection: Selection) -> str:
    """Return the selected text, unwrapped, without rules and gutters.

    A selection without a start or an end extends to that edge of the window.
    """
    rows = sheet.window.rows
    if not rows:
        return ""
    start = selection.start or Offset(0, row_number(rows[0]))
    end = selection.end or Offset(1 << 30, row_number(rows[-1]))
    copied: list[str] = []
    at = _index(sheet, start.y)
    while at < len(sheet.log) and _number(sheet.log[at].seq, at, -sheet.block(at).lead) <= end.y:
        block = sheet.block(at)
        for number, line in enumerate(block.lines):
            row, text = _number(sheet.log[at].seq, at, number - block.lead), line.text
            if not start.y <= row <= end.y or (number < block.lead and not text):
                continue
            first = cluster_boundary(text, start.x) if row == start.y else 0
            last = cluster_boundary(text, end.x, up=True) if row == end.y else len(text)
            if copied:
                copied.append(line.join)
            if line.gutter and not first:
                copied.append(f"{line.gutter} ")
            copied.append(text[first:last])
        at += 1
    return "".join(copied)


def _index(sheet: Viewport, row: int) -> int:
    """Return the index of the message at a row number, or of the next message."""
    seq = row // _ROWS
    return seq - _UNNUMBERED if seq >= _UNNUMBERED else sheet.log.index_from(seq)


FORGET_EVERY = 2.0
"""Seconds between two calls of `forget_styles`."""


def forget_styles() -> None:
    """Clear Textual's cache of 16,384 rendered styles.

    The timeline's styles contain an offset for the selection, so none is used twice; after
    scrolling through a long channel they held 8 MB.
    """
    Strip.render_ansi.cache_clear()


@dataclass(frozen=True, slots=True)
class Painter:
    """A painter of the rows of one renderer.

    Args:
        renderer: the renderer that laid out the rows.
        base: the widget's style, below all others.
        selection: the style of selected text.
        bar: the character beside the message under the cursor.
    """

    renderer: Renderer
    base: Style
    selection: Style
    bar: str = "▌"

    @property
    def palette(self) -> Palette:
        """The styles in use."""
        return self.renderer.palette

    def blank(self) -> Strip:
        """Return an empty row."""
        return Strip.blank(self.renderer.width, self.base)

    def strip(
        self,
        row: Row,
        offset: int,
        *,
        cursor: bool = False,
        timed: bool = False,
        selected: tuple[int, int] | None = None,
    ) -> Strip:
        """Paint one row.

        Args:
            row: the row to paint.
            offset: the row's number for the selection; see `row_number`.
            cursor: whether the cursor is on the message.
            timed: whether to show the time beside a message without a header.
            selected: start and end (exclusive) of the selected characters; end -1: to the end.
        """
        line, palette = row.line, self.palette
        before = [*self._gutter(row, cursor=cursor, timed=timed), *line.indent]
        ink = highlighted(line, selected, self.selection) if selected else line.ink
        width = self.renderer.gutter + line.indent_width + line.width
        behind: list[Segment] = []
        edge = self.renderer.gutter + self.renderer.column
        if width > edge:  # a text behind a pinned header
            cut = Strip([*before, *ink], width).crop(0, edge - 1)
            ink = tuple(cut)[len(before) :]
            behind.append(Segment("…", palette["muted"]))
            width = edge
        if line.fill is not None and width < edge:
            behind.append(Segment(" " * (edge - width), line.fill))
            width = edge
        if width < self.renderer.width:
            behind.append(Segment(" " * (self.renderer.width - width)))
            width = self.renderer.width
        strip = Strip([*before, *ink, *behind], width)
        if width > self.renderer.width:
            strip = strip.crop(0, self.renderer.width)
        ground = self.base + palette["cursor"] if cursor and _is_owned(row) else self.base
        # Offsets left of the text are negative: a selection from there starts at the text.
        left = sum(len(segment.text) for segment in before)
        return _linked(strip.apply_style(ground).apply_offsets(-left, offset))

    def _gutter(self, row: Row, *, cursor: bool, timed: bool) -> Iterable[Segment]:
        palette, width = self.palette, self.renderer.gutter
        ink = palette["time"]
        if cursor and _is_owned(row):
            bar = Segment(self.bar, palette["cursor-bar"])
            ink += palette["cursor-gutter"]
        elif row.block.accent and _is_owned(row):
            bar = Segment("┃", palette["accent"])
        else:
            bar = Segment(" ")
        time = row.line.gutter or (row.block.time if timed and row.lacks_time else "")
        return bar, Segment(f"{time:>{width - 2}} " if width > 2 else " ", ink)


def _is_owned(row: Row) -> bool:
    """Whether a row belongs to its message; rules and blank lines above it do not."""
    return row.number >= row.block.lead or bool(row.line.gutter)


def _linked(strip: Strip) -> Strip:
    """Set one id for all rows of a link, so terminals treat them as one hyperlink."""
    if not any(style and style.link for _, style, _ in strip):
        return strip
    segments = [
        Segment(text, _with_id(style) if style and style.link else style)
        for text, style, _ in strip
    ]
    return Strip(segments, strip.cell_length)


def _with_id(style: Style) -> Style:
    style = style.copy()
    # Rich generates a new id on each addition of styles, and has no public setter.
    style._link_id = str(crc32((style.link or "").encode()))  # noqa: SLF001
    return style


class Frame:
    """The painted rows of a window, aligned to its bottom; `y` counts screen lines from the top."""

    def __init__(self, renderer: Renderer) -> None:
        self._rows: list[Row] = []
        self._height = 0
        self._painter = Painter(renderer, Style.null(), Style.null())
        self._hovered: Key | None = None
        self.cursor: Key | None = None
        """The message under the cursor."""
        self._strips: dict[tuple[Key, int], tuple[tuple[object, ...], Strip]] = {}

    def take(self, rows: list[Row], height: int, painter: Painter) -> list[int]:
        """Set the rows to show; return the screen lines that changed."""
        old = self._rows
        if painter != self._painter:
            self._strips.clear()
        kept = ((row.key, row.number) for row in rows)
        self._strips = {place: self._strips[place] for place in kept if place in self._strips}
        same = len(old) == len(rows) and height == self._height and painter == self._painter
        self._rows, self._height, self._painter = rows, height, painter
        if not same:
            return list(range(height))
        top = height - len(rows)
        return [top + y for y, row in enumerate(rows) if _look(row) != _look(old[y])]

    def row(self, y: int) -> Row | None:
        """Return the row on a screen line; None above the first row."""
        index = y - (self._height - len(self._rows))
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def move_cursor(self, key: Key | None) -> list[int]:
        """Move the cursor to a message, or remove it; return the screen lines that changed."""
        old, self.cursor = self.cursor, key
        return self._lines_of(old, key)

    def hover(self, key: Key | None) -> list[int]:
        """Set the message under the mouse; return the screen lines that changed."""
        if key == self._hovered:
            return []
        old, self._hovered = self._hovered, key
        return self._lines_of(old, key)

    def _lines_of(self, *keys: Key | None) -> list[int]:
        """Return the screen lines of messages."""
        top = self._height - len(self._rows)
        return [top + y for y, row in enumerate(self._rows) if row.key in keys]

    def strip(self, y: int, selection: Selection | None) -> Strip:
        """Return a screen line, from the cache unless its row changed.

        The cache is keyed by row, not by screen line: a new message moves all rows and changes few,
        and painting then takes a sixth of the time.
        """
        row = self.row(y)
        if row is None:
            return self._painter.blank()
        number = row_number(row)
        selected = selection.get_span(number) if selection else None
        is_chosen, is_timed = row.key == self.cursor, row.key in (self.cursor, self._hovered)
        look = (*_look(row), number, is_chosen, is_timed, selected)
        known, strip = self._strips.get((row.key, row.number), ((), None))
        if strip is None or known != look:
            strip = self._painter.strip(
                row, number, cursor=is_chosen, timed=is_timed, selected=selected
            )
            self._strips[row.key, row.number] = look, strip
        return strip


def _look(row: Row) -> tuple[object, ...]:
    """Return the values that determine how a row looks."""
    return row.key, row.number, row.line, row.block.accent, row.block.time
