"""The line that is being typed, without any library that moves the cursor. Pure.

The terminal hands over single keys and echoes nothing, so that whoever prints knows what stands on
the line. Keys that move or recall do nothing here.

A paste is marked by the terminal (bracketed paste): its line breaks are part of the text, and it
never submits anything.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Done", "Echo", "Editor", "Ended", "Pasted", "Submitted", "TabPressed"]

_ERASE = "\b \b"
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_UNFIT = ("Cc", "Cs")
"""The categories of characters that are no text: controls and surrogates."""
_PASTE_MAX = 1_000_000
"""Characters that a paste may have; no server takes a message as long as that."""


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


@dataclass(frozen=True, slots=True)
class Pasted:
    """A text of several lines was pasted, and waits for Enter."""

    lines: int


Done = Echo | Submitted | Ended | TabPressed | Pasted


class Editor:
    """Takes bytes of a terminal; `text` is what is typed and not submitted."""

    def __init__(self) -> None:
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape = ""
        self._paste: list[str] | None = None
        """The characters of the paste that is coming in."""

    def feed(self, data: bytes) -> Iterator[Done]:
        """Take what was typed, key by key; give what is to be done before the next key is taken."""
        for char in self._decoder.decode(data):
            if done := self._key(char):
                yield done

    def _key(self, char: str) -> Done | None:
        if self._escape or char == "\x1b":
            return self._swallow(char)
        if self._paste is not None:
            self._paste += char if len(self._paste) < _PASTE_MAX else ""
            return None
        return self._pressed(char)

    def _pressed(self, char: str) -> Done | None:
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
        if unicodedata.category(char) in _UNFIT:
            return None
        self.text += char
        return Echo(char)

    def _erased(self) -> Echo | None:
        if not self.text:
            return None
        last, self.text = self.text[-1], self.text[:-1]
        # Only of ASCII it is certain how many cells it took.
        return Echo(_ERASE) if last.isascii() and last.isprintable() else Echo("", anew=True)

    def _swallow(self, char: str) -> Done | None:
        """Skip the sequence that a key sends: `ESC x`, `ESC O x`, `ESC [ … letter`."""
        self._escape += char
        if len(self._escape) == 1 or self._escape in ("\x1b[", "\x1bO"):
            return None
        if self._escape.startswith("\x1b[") and not "@" <= char <= "~" and len(self._escape) <= 32:
            return None
        sequence, self._escape = self._escape, ""
        if sequence == _PASTE_BEGINS and self._paste is None:
            self._paste = []
        elif sequence == _PASTE_ENDS and self._paste is not None:
            pasted, self._paste = "".join(self._paste), None
            return self._take_paste(pasted)
        return None

    def _take_paste(self, pasted: str) -> Done | None:
        """Put a paste at the end of the line.

        Of several lines, one that begins with `/` is text: the slash is doubled.
        """
        pasted = pasted.replace("\r\n", "\n").replace("\r", "\n")
        pasted = "".join(
            char for char in pasted if char in "\n\t" or unicodedata.category(char) not in _UNFIT
        )
        text = pasted.strip("\n")
        if "\n" not in pasted:
            self.text += text
            return Echo(text) if text else None
        if not self.text and text.startswith("/"):
            text = f"/{text}"
        self.text += text
        return Pasted(text.count("\n") + 1)
