"""Painting: rows become strips, with cursor and selection; only what changed is painted again.

A selection's rows are counted in a way that does not change while messages come and go around it:
by the message's number, and by the row within its text (what stands above counts backwards).

So it also knows which message is under the cursor, and which under the mouse.
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
_UNNUMBERED = 1 << 53  # above every seq: what has no number stands below


def row_number(row: Row) -> int:
    """Return the number of a row for selections: it grows from row to row."""
    return _number(row.message.seq, row.at, row.number - row.block.lead)


def _number(seq: int | None, at: int, row: int) -> int:
    return (_UNNUMBERED + at if seq is None else seq) * _ROWS + _ROWS // 2 + row


def selected_text(sheet: Viewport, selection: Selection) -> str:
    """Return the selected text: wrapped lines joined again, rules and gutters left out.

    A selection that is open at one end reaches as far as the window shows.
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
    """Return the index of the message that has a row, or of the next one."""
    seq = row // _ROWS
    return seq - _UNNUMBERED if seq >= _UNNUMBERED else sheet.log.index_from(seq)


FORGET_EVERY = 2.0
"""Seconds after which styles that were painted should be forgotten."""


def forget_styles() -> None:
    """Let go of the styles that were painted, of which Textual would keep 16,384.

    Ours carry a place in their row, for the selection: none is ever asked for again, and after
    reading back through a long channel they held 8 MB.
    """
    Strip.render_ansi.cache_clear()


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints rows for one renderer.

    Args:
        renderer: what laid the rows out.
        base: the widget's own style, under everything.
        selection: the style of selected text.
        bar: stands beside the message under the cursor.
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
            row: what to paint.
            offset: the row's number for the selection; grows from row to row.
            cursor: whether the message cursor is on it.
            timed: whether to show the time beside a message that shares its header.
            selected: the first and the last but one selected character; -1: to the end.
        """
        line, palette = row.line, self.palette
        before = [*self._gutter(row, cursor=cursor, timed=timed), *line.indent]
        ink = highlighted(line, selected, self.selection) if selected else line.ink
        width = self.renderer.gutter + line.indent_width + line.width
        behind: list[Segment] = []
        edge = self.renderer.gutter + self.renderer.column
        if line.fill is not None and width < edge:
            behind.append(Segment(" " * (edge - width), line.fill))
            width = edge
        if width < self.renderer.width:
            behind.append(Segment(" " * (self.renderer.width - width)))
            width = self.renderer.width
        strip = Strip([*before, *ink, *behind], width)
        if width > self.renderer.width:
            strip = strip.crop(0, self.renderer.width)
        ground = self.base + palette["cursor"] if cursor else self.base
        # Positions left of the text are negative: a selection that begins there begins with it.
        left = sum(len(segment.text) for segment in before)
        return _linked(strip.apply_style(ground).apply_offsets(-left, offset))

    def _gutter(self, row: Row, *, cursor: bool, timed: bool) -> Iterable[Segment]:
        palette, width = self.palette, self.renderer.gutter
        owned = row.number >= row.block.lead or bool(row.line.gutter)
        if cursor and owned:
            bar = Segment(self.bar, palette["cursor-bar"])
        elif row.block.accent and owned:
            bar = Segment("▌", palette["accent"])
        else:
            bar = Segment(" ")
        time = row.line.gutter or (row.block.time if timed and row.lacks_time else "")
        return bar, Segment(f"{time:>{width - 2}} " if width > 2 else " ", palette["time"])


def _linked(strip: Strip) -> Strip:
    """Give all rows of a link one id, by which terminals know that they belong together."""
    if not any(style and style.link for _, style, _ in strip):
        return strip
    segments = [
        Segment(text, _with_id(style) if style and style.link else style)
        for text, style, _ in strip
    ]
    return Strip(segments, strip.cell_length)


def _with_id(style: Style) -> Style:
    style = style.copy()
    # Rich generates a new id whenever styles are added, and has no public way to set one.
    style._link_id = str(crc32((style.link or "").encode()))  # noqa: SLF001
    return style


class Frame:
    """The rows of a window, the last of them at the bottom, counted in lines of the screen."""

    def __init__(self, renderer: Renderer) -> None:
        self._rows: list[Row] = []
        self._height = 0
        self._painter = Painter(renderer, Style.null(), Style.null())
        self._hovered: Key | None = None
        self.cursor: Key | None = None
        """The message under the cursor."""
        self._strips: dict[tuple[Key, int], tuple[tuple[object, ...], Strip]] = {}

    def take(self, rows: list[Row], height: int, painter: Painter) -> list[int]:
        """Take the rows to show; return the lines that look different from before."""
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
        """Return what stands in a line of the screen; None above the first row."""
        index = y - (self._height - len(self._rows))
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def move_cursor(self, key: Key | None) -> list[int]:
        """Put the cursor on a message, or away; return the lines that look different."""
        old, self.cursor = self.cursor, key
        return self._lines_of(old, key)

    def hover(self, key: Key | None) -> list[int]:
        """Note which message the mouse is over; return the lines that look different."""
        if key == self._hovered:
            return []
        old, self._hovered = self._hovered, key
        return self._lines_of(old, key)

    def _lines_of(self, *keys: Key | None) -> list[int]:
        """Return the lines of the screen on which messages stand."""
        top = self._height - len(self._rows)
        return [top + y for y, row in enumerate(self._rows) if row.key in keys]

    def strip(self, y: int, selection: Selection | None) -> Strip:
        """Return a line of the screen, painted anew only if its row looks different from before.

        When a message arrives all rows move and hardly any changes: with what was painted kept by
        row, not by line of the screen, that costs a sixth.
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
    """Return what a row's picture is made of."""
    return row.key, row.number, row.line, row.block.accent, row.block.time
