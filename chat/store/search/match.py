"""Matching: the index terms a query needs, and the snippet and marks that a result shows.

The index is queried for single words only; phrases and long prefixes are then verified in each
text. FTS5 evaluates a phrase over the messages of all channels before it applies a range of row
ids, but can start reading the list of a word at any row id. A search for several words queries one
window of the channel after another, which keeps each query short.
"""

from __future__ import annotations

from collections.abc import Sequence

from chat.links import has_link
from chat.store.sqlite.fts5 import LINK_TRAIT, PREFIXES, author_trait, window_trait
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
        traits = [author_trait(author_id)] if author_id is not None else []
        if with_link:
            traits.append(LINK_TRAIT)
        self._parts = [f'"{trait}"' for trait in traits]
        self._parts += dict.fromkeys(word for term in terms for word in _asked(term))

    @property
    def is_empty(self) -> bool:
        """Whether there are no criteria."""
        return not self._parts

    @property
    def is_joint(self) -> bool:
        """Whether the query has several words and is therefore run window by window."""
        return len(self._parts) > 1

    def expression(self, channel_id: int, seq: int) -> str:
        """Return the FTS5 query for a channel, limited to the window of `seq` if `is_joint`."""
        if not self.is_joint:
            return self._parts[0]
        # First, so that FTS5 reads the other lists only within the window.
        return " AND ".join([f'"{window_trait(channel_id, seq)}"', *self._parts])

    def marks(self, author_id: int, body: str) -> Marks | None:
        """Return the positions of the terms in a text, or None if it does not match."""
        if self._author_id is not None and author_id != self._author_id:
            return None
        if self._with_link and not has_link(body):
            return None
        return find(self._terms, body) if self._terms else ()


def _asked(term: Term) -> list[str]:
    """Return the FTS5 expressions for the words of a term."""
    if not term.is_prefix:
        return [f'"{word}"' for word in term.words]
    *words, last = term.words
    return [*(f'"{word}"' for word in words), _beginning(last)]


def _beginning(word: str) -> str:
    """Return an FTS5 expression for the longest indexed prefix of `word`."""
    length = max((length for length in PREFIXES if length <= len(word)), default=0)
    return f'"{word[:length]}"*' if length else f'"{word}"'
