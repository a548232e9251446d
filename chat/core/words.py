"""Words in writing that has no spaces between them: there, each character is a word."""

from __future__ import annotations

import re

__all__ = ["BORDER", "apart", "is_unspaced"]

BORDER = "\x02"
"""What parts words and is in no text."""

_UNSPACED = re.compile(
    "["
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # 々〆〇, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\uac00-\ud7a3"  # Korean syllables: endings are written together with their words
    "]"
)


def apart(text: str) -> str:
    """Return `text` with a `BORDER` before and after each character that is a word."""
    return text if text.isascii() else _UNSPACED.sub(rf"{BORDER}\g<0>{BORDER}", text)


def is_unspaced(text: str) -> bool:
    """Whether `text` has a character that is a word by itself."""
    return not text.isascii() and _UNSPACED.search(text) is not None
