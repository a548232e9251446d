"""The line that is being typed, without any library that moves the cursor. Pure.

The terminal hands over single keys and echoes nothing, so that whoever prints knows what stands on
the line. Keys that move or recall do nothing here.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Echo", "Editor", "Ended", "Submitted", "TabPressed"]

_ERASE = "\b \b"


@dataclass(frozen=True, slots=True)
class Echo:
    """What to print after what stands on the line; `anew`: the line has to be printed anew."""

    text: str
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """Enter was pressed."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Ctrl+D was pressed on an empty line."""


@dataclass(frozen=True, slots=True)
class TabPressed:
    """Tab was pressed: the line is to be completed."""


Done = Echo | Submitted | Ended | TabPressed


class Editor:
    """Takes bytes of a terminal; `text` is what is typed and not submitted."""

    def __init__(self) -> None:
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape = ""

    def feed(self, data: bytes) -> Iterator[Done]:
        """Take what was typed, key by key; give what is to be done before the next key is taken."""
        for char in self._decoder.decode(data):
            if done := self._key(char):
                yield done

    def _key(self, char: str) -> Done | None:
        if self._escape or char == "\x1b":
            self._swallow(char)
            return None
        match char:
            case "\n" | "\r":
                text, self.text = self.text, ""
                return Submitted(text)
            case "\x04":
                return None if self.text else Ended()
            case "\t":
                return TabPressed()
            case "\x7f" | "\b":
                return self._erased()
            case "\x15":  # Ctrl+U
                self.text = ""
                return Echo("", anew=True)
            case "\x17":  # Ctrl+W
                self.text = self.text.rstrip().rpartition(" ")[0]
                self.text += " " if self.text else ""
                return Echo("", anew=True)
        if unicodedata.category(char) in ("Cc", "Cs"):
            return None
        self.text += char
        return Echo(char)

    def _erased(self) -> Echo | None:
        if not self.text:
            return None
        last, self.text = self.text[-1], self.text[:-1]
        # Only of ASCII it is certain how many cells it took.
        return Echo(_ERASE) if last.isascii() and last.isprintable() else Echo("", anew=True)

    def _swallow(self, char: str) -> None:
        """Skip the sequence that a key sends: `ESC x`, `ESC O x`, `ESC [ … letter`."""
        self._escape += char
        if len(self._escape) == 1 or self._escape in ("\x1b[", "\x1bO"):
            return
        if not self._escape.startswith("\x1b[") or "@" <= char <= "~" or len(self._escape) > 32:
            self._escape = ""
