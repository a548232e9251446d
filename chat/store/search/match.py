"""Matching: the words a query needs, and the snippet and marks that a result shows.

The index is queried for single words only; phrases and long prefixes are then verified in each
text. FTS5 evaluates a phrase over the messages of all channels before it applies a range of row
ids, but can start reading the list of a word at any row id. A search for several words queries one
window of the channel after another, which keeps each query short.
"""

from __future__ import annotations

from collections.abc import Sequence

from chat.links import has_link
from chat.store.words import LINK_TRAIT, PREFIXES, Word, author_trait
from chat.tokenizer import Term, find

__all__ = ["Marks", "Matcher", "snippet"]


Marks = tuple[tuple[int, int], ...]
"""Ranges in a text: start and end, in characters."""

SNIPPET_MAX = 240
_BEFORE = 60
_CUT = "…"


def snippet(body: str, marks: Sequence[tuple[int, int]]) -> tuple[str, Marks]:
    """Return the part of `body` around the first mark, and the marks within it."""
    start = _start(body, marks[0][0] if marks else 0)
    end = min(len(body), start + SNIPPET_MAX)
    shift = len(_CUT) - start if start else 0
    piece = (_CUT if start else "") + body[start:end] + (_CUT if end < len(body) else "")
    within = ((max(first, start), min(last, end)) for first, last in marks)
    return piece, tuple((first + shift, last + shift) for first, last in within if first < last)


def _start(body: str, found: int) -> int:
    """Return the start of the snippet: the start of a word shortly before the match."""
    if len(body) <= SNIPPET_MAX or found <= _BEFORE:
        return 0
    earliest = min(found - _BEFORE, len(body) - SNIPPET_MAX)
    space = body.find(" ", earliest, found)
    return space + 1 if space >= 0 else earliest


class Matcher:
    """The criteria of a search: terms (all must match), an author, and a link."""

    def __init__(self, terms: Sequence[Term], author_id: int | None, with_link: bool) -> None:
        self._terms = terms
        self._author_id = author_id
        self._with_link = with_link
        words = [Word(author_trait(author_id))] if author_id is not None else []
        if with_link:
            words.append(Word(LINK_TRAIT))
        words += dict.fromkeys(word for term in terms for word in _asked(term))
        self.words: Sequence[Word] = words
        """The words to look up; there are no criteria if it is empty."""

    def marks(self, author_id: int, body: str) -> Marks | None:
        """Return the positions of the terms in a text, or None if it does not match."""
        if self._author_id is not None and author_id != self._author_id:
            return None
        if self._with_link and not has_link(body):
            return None
        return find(self._terms, body) if self._terms else ()


def _asked(term: Term) -> list[Word]:
    """Return the indexed words and prefixes of a term."""
    if not term.is_prefix:
        return [Word(word) for word in term.words]
    *words, last = term.words
    return [*map(Word, words), _beginning(last)]


def _beginning(word: str) -> Word:
    """Return the longest indexed prefix of `word`."""
    length = max((length for length in PREFIXES if length <= len(word)), default=0)
    return Word(word[:length], is_prefix=True) if length else Word(word)
