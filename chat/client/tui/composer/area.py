"""A text area with a shell's editing keys that renders foreign text safely."""

from __future__ import annotations

from rich.segment import Segment
from textual import events, on
from textual.strip import Strip
from textual.widgets import TextArea

from chat.client.tui.safe_text import without_formats

__all__ = ["Area", "KillRing", "Location"]


class KillRing:
    """The last cut text; successive cuts are joined, as in a shell."""

    def __init__(self) -> None:
        self.text = ""
        self._place: object = None

    def add(self, text: str, *, backwards: bool, before: object, after: object) -> None:
        """Store a cut text.

        Args:
            text: the cut text.
            backwards: whether the text was before the cursor.
            before: the state before the cut; if equal to `after` of the last cut, both are joined.
            after: the state after the cut.
        """
        if before != self._place:
            self.text = ""
        self.text = text + self.text if backwards else self.text + text
        self._place = after


Location = tuple[int, int]
"""A row and a column, from 0."""


class Area(TextArea, inherit_bindings=False):
    """A text area with kill and yank, and helpers to replace text."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False)
        self._kills = KillRing()

    @property
    def _draw_cursor(self) -> bool:
        return self.show_cursor and super()._draw_cursor  # Textual: only if it is read-only

    def render_line(self, y: int) -> Strip:
        """Render a line without zero-width characters that disturb the text around them."""
        strip = super().render_line(y)
        if all(segment.text.isprintable() for segment in strip):
            return strip
        drawn = [
            Segment(without_formats(segment.text), segment.style, segment.control)
            for segment in strip
        ]
        return Strip(drawn, strip.cell_length)

    @on(events.Resize)
    def _fit(self) -> None:
        self.call_next(self._rewrapped)

    def _rewrapped(self) -> None:
        # Textual may have painted lines and the cursor before wrapping, and does not repaint.
        self.scroll_cursor_visible()
        self.refresh()

    def put(self, text: str) -> None:
        """Replace the selection by text; the cursor goes behind it."""
        self.put_at(text, *self.selection)

    def put_at(self, text: str, start: Location, end: Location) -> None:
        """Replace the text between two locations; the cursor goes behind the new text."""
        result = self.replace(text, start, end, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

    def put_all(self, text: str) -> None:
        """Replace all text as one undoable change."""
        self.put_at(text, (0, 0), self.document.end)

    def action_kill_to_start(self) -> None:
        """Cut to the start of the line; at the start, the line break before it."""
        row, column = self.cursor_location
        self._kill((row, 0) if column else self.get_cursor_left_location())

    def action_kill_to_end(self) -> None:
        """Cut to the end of the line; at the end, the line break."""
        row, column = self.cursor_location
        end = len(self.document.get_line(row))
        self._kill((row, end) if column < end else self.get_cursor_right_location())

    def action_kill_word_left(self) -> None:
        """Cut the word before the cursor."""
        self._kill(self.get_cursor_word_left_location())

    def action_kill_word_right(self) -> None:
        """Cut the word after the cursor."""
        self._kill(self.get_cursor_word_right_location())

    def action_yank(self) -> None:
        """Insert the last cut text."""
        if self._kills.text:
            self.put(self._kills.text)
        else:
            self.app.bell()

    def action_transpose(self) -> None:
        """Swap the characters around the cursor; at the end of a line, the last two."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        at = min(column, len(line) - 1)
        if at < 1:
            self.app.bell()
        else:
            self.put_at(line[at] + line[at - 1], (row, at - 1), (row, at + 1))

    def _kill(self, target: Location) -> None:
        """Cut the selection, or without one the text between the cursor and `target`."""
        start, end = self.selection
        if start == end:
            end = target
        before = (self.text, self.cursor_location)
        text = self.get_text_range(start, end)
        self.put_at("", *sorted((start, end)))
        after = (self.text, self.cursor_location)
        self._kills.add(text, backwards=end < start, before=before, after=after)
