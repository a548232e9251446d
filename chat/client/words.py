"""Words as a person means them who looks for one: without regard to capitals and accents. Pure.

It is what the server's index does, for letters of every writing. An accent may be a character of
its own; in writing that has no spaces (Chinese, Japanese, Korean) each character is a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from json import dumps
from unicodedata import normalize

from chat.text import UNSPACED

__all__ = ["pattern_of", "plain", "raw_of", "words_in"]

_ACCENTS = "\u0300-\u036f"
_WORD = re.compile(r"[^\W_]+")
_SPACED = rf"[^\W_{UNSPACED}]"
_LETTER = rf"(?:{_SPACED}|[{_ACCENTS}])"
_BEGIN = "".join(rf"(?<!{_SPACED}{f'[{_ACCENTS}]' * count})" for count in range(3))
"""Not after a letter, nor after one with up to two accents: a looking back has a fixed width."""
_BETWEEN = rf"(?:(?![{_ACCENTS}])[\W_])+"
_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_RUN = re.compile(f"[{UNSPACED}]+")
_ESCAPE = "\\u"
"""Begins what is not ASCII, in the JSON that lines are kept in."""


def plain(text: str) -> str:
    """Return `text` without capitals and accents; each character keeps its place."""
    return text.lower() if text.isascii() else "".join(map(_letter, text))


@lru_cache(maxsize=4_096)
def _letter(char: str) -> str:
    base = normalize("NFD", char)[0]
    folded = (base if base.isascii() else char).casefold()
    return folded if len(folded) == 1 else char.lower()[0]


def words_in(text: str) -> list[str]:
    """Return the words of a plain text, without the accents that stand for themselves."""
    return _WORD.findall(re.sub(f"[{_ACCENTS}]", "", text))


def pattern_of(words: Sequence[str], *, goes_on: bool) -> str:
    """Return the regular expression that finds `words` in a plain text, one after the other.

    Args:
        words: at least one, of `words_in`.
        goes_on: the last of them may be the beginning of a longer one.
    """
    begin = "" if _IS_UNSPACED.match(words[0]) else _BEGIN
    is_open = _IS_UNSPACED.match(words[-1][-1])
    end = f"{_LETTER}*" if goes_on else "" if is_open else f"(?!{_LETTER})"
    return begin + _BETWEEN.join(map(_spelled, words)) + end


def _spelled(word: str) -> str:
    return "".join(
        char if _IS_UNSPACED.match(char) else f"{re.escape(char)}[{_ACCENTS}]*" for char in word
    )


def raw_of(words: Sequence[str]) -> tuple[str, str]:
    """Return two texts, one of which the JSON of each text has that holds `words`.

    They are to be looked for without regard to the capitals of ASCII. Nothing else than itself is
    the same as a character without capitals; a word in ASCII may be written in other letters
    (`Über` is found as `uber`), and what has any of these is not told apart.
    """
    runs = [run for word in words for run in _RUN.findall(word)]
    if runs:
        raw = dumps(max(runs, key=len))[1:-1]
        return raw, raw
    if all(word.isascii() for word in words):
        return max(words, key=len, default=""), _ESCAPE
    return _ESCAPE, _ESCAPE
