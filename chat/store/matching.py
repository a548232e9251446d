"""What a search looks for: what the index is asked, and what each text is asked itself.

The index is asked for single words, all of which a message must have: what stands together in a
phrase, and how a long beginning goes on, each text is asked itself. For FTS5 looks for a phrase in
everybody's messages before it looks at a range of places, while a word's list is entered where one
likes. Several words are met in one window after the other, so that each question is a short one.
"""

from __future__ import annotations

from collections.abc import Sequence

from chat.store.fulltext import PREFIXES, window_trait
from chat.store.snippets import Marks
from chat.words import Term, find

__all__ = ["Matcher"]


class Matcher:
    """Terms that a message must all have, its author, and whether it must have a link."""

    def __init__(self, terms: Sequence[Term], author_id: int | None, with_link: bool) -> None:
        self._terms = terms
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

    def marks(self, body: str) -> Marks | None:
        """Return where the terms stand in a text, in characters; None: not all of them do."""
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
