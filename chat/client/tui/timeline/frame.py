"""The frame: which rows are on the screen now, and which of them have to be painted again."""

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

    def take(self, rows: list[Row], height: int, painter: Painter) -> list[int]:
        """Take the rows to show; return the lines that look different from before."""
        old = self._rows
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

    def lines_of(self, key: Key | None) -> list[int]:
        """Return the lines of the screen on which a message stands."""
        top = self._height - len(self._rows)
        return [top + y for y, row in enumerate(self._rows) if row.key == key]

    def strip(
        self, y: int, *, cursor: Key | None, hovered: Key | None, selection: Selection | None
    ) -> Strip:
        """Paint a line of the screen."""
        row = self.row(y)
        if row is None:
            return self._painter.blank()
        number = row_number(row)
        return self._painter.strip(
            row,
            number,
            cursor=row.key == cursor,
            timed=row.key in (cursor, hovered),
            selected=selection.get_span(number) if selection else None,
        )


def _look(row: Row) -> tuple[object, ...]:
    """Return what a row's picture is made of."""
    return row.key, row.number, row.line, row.block.accent, row.block.time
