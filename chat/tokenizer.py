"""Split text into folded search words, with their positions. Pure.

Shared by the server (index, queries, snippets) and the client's local search. `folded` ignores
case, accents, points, compatibility forms (full-width, ligatures, circled), invisible characters,
and differences of Unicode composition.

Language-specific rules:

- Stroked letters and ligatures fold to base letters (ł, ø, đ, ħ, ŧ, æ, œ), ß to ss, and i with or
  without a dot to i.
- Cyrillic й and ў remain distinct; ё folds to е.
- Marks that change a syllable stay: kana voicing, vowels and tones of Indic and Southeast Asian
  scripts. Hebrew and Arabic points, tatweel and hamza are ignored.
- In scripts without spaces (Chinese, Japanese, Korean) each character is a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import category, combining, is_normalized, normalize, unidata_version

from chat.text import UNSPACED

__all__ = ["FORMAT", "Term", "find", "folded", "is_unspaced", "terms_of", "words_in"]

FORMAT = f"2/{unidata_version}"
"""Version of `folded`; an index built by another version is rebuilt."""

_PIECE = re.compile(r'"(?P<phrase>[^"]*)(?:"|$)(?P<star>\*?)|(?P<word>[^\s"]+)')
_UNSPACED = re.compile(f"[{UNSPACED}]")
_WORD = re.compile(r"[^ ]+")
_EQUALS = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"}
)
_ASCII = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() and code < 128 else 32 for code in range(256)
)
_BREVE = "\u0306"
_BREAK = "\u200b"  # Thai and Khmer separate words by zero-width spaces
_TATWEEL = "\u0640"
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # variation selectors
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Term:
    """A phrase of folded words; with `is_prefix`, the last one is a prefix."""

    words: tuple[str, ...]
    is_prefix: bool = False


def folded(text: str) -> str:
    """Return the folded words of a text, separated by blanks; they hold letters, digits, marks."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode()
    composed = text if is_normalized("NFKC", text) else normalize("NFKC", text)
    return composed.translate(_FOLDING)


def words_in(text: str) -> list[str]:
    """Return the folded words of a text, in order."""
    return folded(text).split()


def is_unspaced(word: str) -> bool:
    """Whether a folded word is a character of a script without spaces."""
    return _UNSPACED.match(word) is not None


def terms_of(query: str) -> tuple[Term, ...]:
    """Return the terms of a query without duplicates: words, "phrases in quotes", prefix*."""
    found: dict[Term, None] = {}
    for piece in _PIECE.finditer(query):
        word = piece["word"]
        words = tuple(words_in(piece["phrase"] if word is None else word))
        if words:
            found[Term(words, bool(piece["star"]) or (word or "").endswith("*"))] = None
    return tuple(found)


def find(terms: Sequence[Term], text: str) -> tuple[tuple[int, int], ...] | None:
    """Return the ranges of all terms in a text, in order; None if a term does not match."""
    line = f" {' '.join(words_in(text))} "
    if not all(_line_of(term) in line for term in terms):
        return None
    words, places = _located(text)
    marks: list[tuple[int, int]] = []
    for start, end in sorted(mark for term in terms for mark in _marks(term, words, places)):
        if marks and start < marks[-1][1]:
            marks[-1] = marks[-1][0], max(end, marks[-1][1])
        else:
            marks.append((start, end))
    return tuple(marks)


def _line_of(term: Term) -> str:
    return f" {' '.join(term.words)}" + ("" if term.is_prefix else " ")


def _marks(
    term: Term, words: Sequence[str], places: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    *begin, last = term.words
    count = len(begin)
    for at in range(len(words) - count):
        word = words[at + count]
        is_last = word.startswith(last) if term.is_prefix else word == last
        if is_last and words[at : at + count] == begin:
            yield places[at][0], places[at + count][1]


def _located(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the words of a text, and the range of each."""
    if text.isascii():
        found = list(_WORD.finditer(folded(text)))
        return [each[0] for each in found], [each.span() for each in found]
    parts: list[str] = []
    origins: list[tuple[int, int]] = []  # the range of each character in `parts`
    for start, end in _clusters(text):
        part = folded(text[start:end])
        parts.append(part)
        origins += [(start, end)] * len(part)
    found = list(_WORD.finditer("".join(parts)))
    places = [(origins[each.start()][0], origins[each.end() - 1][1]) for each in found]
    return [each[0] for each in found], places


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Split a text before each character that is not a mark; parts can be folded separately."""
    start = 0
    for at, char in enumerate(text):
        if at > start and not _is_composing(char):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _is_composing(char: str) -> bool:
    """Whether `char` may compose with the previous character."""
    return (
        (char >= "\u0300" and category(char)[0] == "M")
        or "\u1160" <= char <= "\u11ff"  # Korean vowels and finals
        or char in "\uff9e\uff9f"  # half-width kana voicing
    )


class _Folding(dict[int, str]):
    """The folded form of each character of a composed text, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        found = _folded(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = found
        return found


_FOLDING = _Folding()


def _folded(char: str) -> str:
    if _UNSPACED.match(char):
        return f" {char} "
    kind = category(char)
    if kind[0] == "M":
        return "" if _is_accent(char) else char
    if (kind == "Cf" and char != _BREAK) or char == _TATWEEL:
        return ""
    if not char.isalnum():
        return " "
    letters = normalize("NFKD", char)
    is_cyrillic = "\u0400" <= letters[0] <= "\u052f"
    kept = [each for each in letters if (is_cyrillic and each == _BREVE) or not _is_accent(each)]
    return normalize("NFC", "".join(kept).casefold().translate(_EQUALS))


def _is_accent(char: str) -> bool:
    """Whether a mark is ignored: an accent, point or stroke, but not a vowel, voicing or tone."""
    order = combining(char)
    is_point = order == 1 or 10 <= order <= 36 or order >= 200
    return is_point or category(char) == "Me" or _SELECTOR.match(char) is not None
