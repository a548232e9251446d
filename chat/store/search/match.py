"""Matching: the index terms a query needs, and the snippet and marks that a result shows.

The index is asked for single words, all of which a message must have: what stands together in a
phrase, and how a long beginning goes on, each text is asked itself. For FTS5 looks for a phrase in
everybody's messages before it looks at a range of places, while a word's list is entered where one
likes. Several words are met in one window after the other, so that each question is a short one.
"""

from __future__ import annotations

from collections.abc import Sequence

from chat.links import has_link
from chat.store.sqlite.fts5 import PREFIXES, window_trait
from chat.tokenizer import Term, find

__all__ = ["Marks", "Matcher", "snippet"]


Marks = tuple[tuple[int, int], ...]
"""Where something stands in a text: from, to, in characters."""

SNIPPET_MAX = 240
_BEFORE = 60
_CUT = "…"


def snippet(body: str, marks: Sequence[tuple[int, int]]) -> tuple[str, Marks]:
    """Return a piece of `body` around the first mark, and the marks that lie in it."""
    start = _start(body, marks[0][0] if marks else 0)
    end = min(len(body), start + SNIPPET_MAX)
    shift = len(_CUT) - start if start else 0
    piece = (_CUT if start else "") + body[start:end] + (_CUT if end < len(body) else "")
    within = ((max(first, start), min(last, end)) for first, last in marks)
    return piece, tuple((first + shift, last + shift) for first, last in within if first < last)


def _start(body: str, found: int) -> int:
    """Return where the piece begins: a word's beginning, not far before what was found."""
    if len(body) <= SNIPPET_MAX or found <= _BEFORE:
        return 0
    earliest = min(found - _BEFORE, len(body) - SNIPPET_MAX)
    space = body.find(" ", earliest, found)
    return space + 1 if space >= 0 else earliest


class Matcher:
    """Terms that a message must all have, its author, and whether it must have a link."""

    def __init__(self, terms: Sequence[Term], author_id: int | None, with_link: bool) -> None:
        self._terms = terms
        self._author_id = author_id
        self._with_link = with_link
        traits = [f"a{author_id}"] if author_id is not None else []
        if with_link:
            traits.append("link")
        self._parts = [f'traits : "{trait}"' for trait in traits]
        self._parts += dict.fromkeys(f"text : {word}" for term in terms for word in _asked(term))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look for."""
        return not self._parts

    @property
    def is_joint(self) -> bool:
        """Whether several lists have to be met, which is done window by window."""
        return len(self._parts) > 1

    def expression(self, channel_id: int, seq: int) -> str:
        """Return what to ask the index for `seq` of a channel, and its window if `is_joint`."""
        if not self.is_joint:
            return self._parts[0]
        # First: the lists of the others are entered where the window's begins, and left at its end.
        return " AND ".join([f'traits : "{window_trait(channel_id, seq)}"', *self._parts])

    def marks(self, author_id: int, body: str) -> Marks | None:
        """Return where the terms stand in a text, in characters; None: it is no hit."""
        if self._author_id is not None and author_id != self._author_id:
            return None
        if self._with_link and not has_link(body):
            return None
        return find(self._terms, body) if self._terms else ()


def _asked(term: Term) -> list[str]:
    """Return the words of a term as the index is asked for them."""
    if not term.is_prefix:
        return [f'"{word}"' for word in term.words]
    *words, last = term.words
    return [*(f'"{word}"' for word in words), _beginning(last)]


def _beginning(word: str) -> str:
    """Return what finds at least all that begins as `word`: all that has an indexed beginning."""
    length = max((length for length in PREFIXES if length <= len(word)), default=0)
    return f'"{word[:length]}"*' if length else f'"{word}"'
