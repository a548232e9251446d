"""History of sent texts, recalled with Up."""

from __future__ import annotations

__all__ = ["History"]

_MOST = 200


class History:
    """The last 200 sent texts, a position in them, and the draft left for them."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._at: int | None = None
        self._left = ""

    def add(self, text: str) -> None:
        """Add a text as the newest, and reset the position."""
        if text in self._sent:
            self._sent.remove(text)
        self._sent.append(text)
        del self._sent[:-_MOST]
        self._at = None

    def older(self, text: str) -> str | None:
        """Return the text before the recalled one; `text` is the composer's current text."""
        at = len(self._sent) if self._at is None or text != self._sent[self._at] else self._at
        if at == 0:
            return None
        if at == len(self._sent):
            self._left = text
        self._at = at - 1
        return self._sent[self._at]

    def newer(self, text: str) -> str | None:
        """Return the text after the recalled one, at the end the draft; else None."""
        if self._at is None or text != self._sent[self._at]:
            return None
        if self._at + 1 < len(self._sent):
            self._at += 1
            return self._sent[self._at]
        self._at = None
        return self._left
