"""vi keys in a text area: each change is one undoable step."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.widgets.text_area import Selection

from chat.client.tui.composer.area import Area, Location
from chat.client.tui.composer.vi.field import Field, line_end, line_start
from chat.client.tui.composer.vi.machine import Ask, Mode, Vi

__all__ = ["Modal"]


class Modal:
    """vi keys for the text area `area`."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._vi = Vi()

    @property
    def mode(self) -> str:
        """The mode's name, with the keys of an unfinished command."""
        return " ".join(filter(None, (self._vi.mode, self._vi.pending)))

    def begin(self) -> None:
        """Reset to insert mode."""
        self._vi.begin()

    def take(self, key: events.Key) -> bool:
        """Handle a key; return False if vi does not use it in this mode."""
        name = key.character if key.is_printable and key.character else key.key
        field = self._field()
        done = self._vi.press(name, field)
        match done:
            case None:
                return False
            case Ask.UNDO:
                self._area.undo()
            case Ask.REDO:
                self._area.redo()
            case Ask.BELL:
                self._area.app.bell()
            case Field():
                self._show(field, done)
        return True

    def release(self) -> None:
        """Leave visual mode, and select the same text in the area."""
        if self._vi.mode is Mode.VISUAL:
            field = self._field()
            self._vi.press("escape", field)
            start, end = field.selected
            text = self._area.text
            self._area.selection = Selection(_place(text, start), _place(text, end))

    def _field(self) -> Field:
        lines = self._area.document.lines
        start, end = (_offset(lines, place) for place in self._area.selection)
        if self._vi.mode not in (Mode.VISUAL, Mode.LINES):
            return Field(self._area.text, end)
        if self._vi.mode is Mode.LINES and end > start:
            return Field(self._area.text, end - 1, start)
        if end >= start:
            return Field(self._area.text, end, start)
        return Field(self._area.text, end, max(start - 1, end))

    def _show(self, old: Field, new: Field) -> None:
        if new.text != old.text:
            same = _alike(old.text, new.text)
            rest = _alike(old.text[same:][::-1], new.text[same:][::-1])
            end, new_end = len(old.text) - rest, len(new.text) - rest
            places = _place(old.text, same), _place(old.text, end)
            self._area.history.checkpoint()
            self._area.put_at(new.text[same:new_end], *places)
        start, end = self._span(new)
        self._area.selection = Selection(_place(new.text, start), _place(new.text, end))
        self._area.history.checkpoint()

    def _span(self, field: Field) -> tuple[int, int]:
        """Return the start and end offsets of the area's selection; the cursor is at the end.

        The area draws the character under the cursor as selected, so a forward selection ends
        before it.
        """
        text, caret, anchor = field.text, field.caret, field.anchor
        if anchor is None:
            return caret, caret
        if self._vi.mode is Mode.LINES:
            if anchor <= caret:
                return line_start(text, anchor), min(line_end(text, caret) + 1, len(text))
            return min(line_end(text, anchor) + 1, len(text)), line_start(text, caret)
        return anchor if anchor <= caret else min(anchor + 1, len(text)), caret


def _offset(lines: Sequence[str], place: Location) -> int:
    row, column = place
    return sum(len(line) + 1 for line in lines[:row]) + column


def _place(text: str, offset: int) -> Location:
    return text.count("\n", 0, offset), offset - line_start(text, offset)


def _alike(one: str, other: str) -> int:
    """Return the length of the common prefix."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
