"""A text with a caret and a selection, as offsets."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Field", "line_end", "line_start"]


@dataclass(frozen=True, slots=True)
class Field:
    """A text with a caret on, or in insert mode before, the character at offset `caret`.

    `anchor` is the other end of the selection, which includes the characters at both ends.
    """

    text: str
    caret: int
    anchor: int | None = None

    def at(self, caret: int) -> Field:
        """Return the field with the caret at an offset, clamped to the text."""
        return replace(self, caret=max(0, min(caret, len(self.text))))

    def on(self, caret: int) -> Field:
        """Return the field with the caret on a character, at most the last of its line."""
        end = line_end(self.text, min(max(caret, 0), len(self.text)))
        if caret >= end:
            caret = max(end - 1, line_start(self.text, end))
        return self.at(caret)

    def spliced(self, start: int, end: int, text: str = "") -> Field:
        """Replace a range; the caret is at its start, and nothing is selected."""
        return Field(self.text[:start] + text + self.text[end:], start)

    @property
    def selected(self) -> tuple[int, int]:
        """Start and end (exclusive) of the selection."""
        first, last = sorted((self.caret, self.caret if self.anchor is None else self.anchor))
        return first, min(last + 1, len(self.text))


def line_start(text: str, at: int) -> int:
    """Return the start of the line that contains offset `at`."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Return the end of the line that contains offset `at`, before its line break."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end
