"""The frame: which rows are on the screen now, and which of them have to be painted again.

So it also knows which message is under the cursor, and which under the mouse.
"""

from __future__ import annotations

from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip

from chat.client.tui.timeline.log import Key
from chat.client.tui.timeline.painting import Painter
from chat.client.tui.timeline.render import Renderer
from chat.client.tui.timeline.selection import row_number
from chat.client.tui.timeline.sheet import Row

__all__ = ["Frame"]


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
