"""A text with a caret, in offsets from its beginning."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Field", "line_end", "line_start"]


@dataclass(frozen=True, slots=True)
class Field:
    """A text; the caret stands on, or before, the character at `caret`.

    `anchor` is the other end of a selection; the characters at both ends belong to it.
    """

    text: str
    caret: int
    anchor: int | None = None

    def at(self, caret: int) -> Field:
        """Return it with the caret elsewhere, kept within the text."""
        return replace(self, caret=max(0, min(caret, len(self.text))))

    def on(self, caret: int) -> Field:
        """Return it with the caret on a character: never behind the last one of a line."""
        end = line_end(self.text, min(max(caret, 0), len(self.text)))
        if caret >= end:
            caret = max(end - 1, line_start(self.text, end))
        return self.at(caret)

    def spliced(self, start: int, end: int, text: str = "") -> Field:
        """Return it with other text between two places, the caret before it, nothing selected."""
        return Field(self.text[:start] + text + self.text[end:], start)

    @property
    def selected(self) -> tuple[int, int]:
        """Where the selection begins, and where it ends: behind its last character."""
        first, last = sorted((self.caret, self.caret if self.anchor is None else self.anchor))
        return first, min(last + 1, len(self.text))


def line_start(text: str, at: int) -> int:
    """Return where the line begins that holds the place `at`."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Return where that line ends, before its line break."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end
