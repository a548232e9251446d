"""Words in writing that has no spaces between them: there, each character is a word."""

from __future__ import annotations

import re

from chat.text import UNSPACED

__all__ = ["BORDER", "apart", "is_unspaced"]

BORDER = "\x02"
"""What parts words and is in no text."""

_UNSPACED = re.compile(f"[{UNSPACED}]")


def apart(text: str) -> str:
    """Return `text` with a `BORDER` before and after each character that is a word."""
    return text if text.isascii() else _UNSPACED.sub(rf"{BORDER}\g<0>{BORDER}", text)


def is_unspaced(text: str) -> bool:
    """Whether `text` has a character that is a word by itself."""
    return not text.isascii() and _UNSPACED.search(text) is not None
