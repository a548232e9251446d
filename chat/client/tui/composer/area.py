"""A text area with a shell's editing keys, which draws foreign text safely."""

from __future__ import annotations

from rich.segment import Segment
from textual import events, on
from textual.strip import Strip
from textual.widgets import TextArea

from chat.client.tui.safe_text import without_formats

__all__ = ["Area", "KillRing", "Location"]


class KillRing:
    """The last text that was cut; `place` is whatever tells that nothing happened in between."""

    def __init__(self) -> None:
        self.text = ""
        self._place: object = None

    def add(self, text: str, *, backwards: bool, before: object, after: object) -> None:
        """Keep a cut.

        Args:
            text: what was cut out.
            backwards: whether it stood before the cursor.
            before: the place before the cut; if the last cut led there, both are one.
            after: the place after it.
        """
        if before != self._place:
            self.text = ""
        self.text = text + self.text if backwards else self.text + text
        self._place = after


Location = tuple[int, int]
"""A row and a column, from 0."""


class Area(TextArea, inherit_bindings=False):
    """Text, and the editing of it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False)
        self._kills = KillRing()

    def render_line(self, y: int) -> Strip:
        """Draw a line without what has no width and only disorders what stands around it."""
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
        self.call_next(self._wrapped_anew)

    def _wrapped_anew(self) -> None:
        # Textual may have painted lines before it wrapped, and leaves these and the cursor so.
        self.scroll_cursor_visible()
        self.refresh()

    def put(self, text: str) -> None:
        """Put text in the place of what is selected, and the cursor behind it."""
        self.put_at(text, *self.selection)

    def put_at(self, text: str, start: Location, end: Location) -> None:
        """Put text in the place of what stands between two places, and the cursor behind it."""
        result = self.replace(text, start, end, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

    def put_all(self, text: str) -> None:
        """Put text in the place of all there is; undo brings that back."""
        self.put_at(text, (0, 0), self.document.end)

    def action_kill_to_start(self) -> None:
        """Cut what stands before the cursor in its line; at the beginning, the line break."""
        row, column = self.cursor_location
        self._kill((row, 0) if column else self.get_cursor_left_location())

    def action_kill_to_end(self) -> None:
        """Cut what stands after the cursor in its line; at the end, the line break."""
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
        """Put in what was cut."""
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
        """Cut what is selected; without a selection, what stands between the cursor and there."""
        start, end = self.selection
        if start == end:
            end = target
        before = (self.text, self.cursor_location)
        text = self.get_text_range(start, end)
        self.put_at("", *sorted((start, end)))
        after = (self.text, self.cursor_location)
        self._kills.add(text, backwards=end < start, before=before, after=after)
