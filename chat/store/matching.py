"""What a search looks for, as the index finds it and as a text shows it.

The index is asked for single words, all of which a message must have: what stands together in a
phrase, and how a long beginning goes on, each text is asked itself. For FTS5 looks for a phrase in
everybody's messages before it looks at a range of places, while a word's list is entered where one
likes. Several words are met in one window after the other, so that each question is a short one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from chat.core.query import Term
from chat.core.words import BORDER, apart
from chat.store.fulltext import PREFIXES, TOKENIZER, window_trait
from chat.store.snippets import Marks

__all__ = ["Matcher"]

_MARK = "\x01"  # as `BORDER`, in no text
_TABLES = (
    f"CREATE VIRTUAL TABLE texts USING fts5(text, {TOKENIZER})",
    "CREATE VIRTUAL TABLE words USING fts5vocab(texts, instance)",
)
_MATCHES = "SELECT rowid, highlight(texts, 0, char(1), char(1)) FROM texts WHERE texts MATCH ?"
_WORDS = "SELECT doc, term FROM words ORDER BY doc, offset"


class Matcher:
    """Terms that a message must all have, its author, and whether it must have a link.

    To be closed, as it takes texts apart in a database in memory, just as the index does.
    """

    def __init__(self, terms: Sequence[Term], author_id: int | None, with_link: bool) -> None:
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        for statement in _TABLES:
            self._memory.execute(statement).close()
        terms, words = self._take_apart(terms)
        traits = [f"a{author_id}"] if author_id is not None else []
        if with_link:
            traits.append("link")
        self._parts = [f'traits : "{trait}"' for trait in traits]
        self._parts += [f"text : {word}" for word in words]
        self._whole = " AND ".join(_quoted(apart(term.text), term.is_prefix) for term in terms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._memory.close()

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

    def marks(self, bodies: Sequence[str]) -> list[Marks | None]:
        """Return where the terms stand in each text, in characters; None: not all of them do."""
        if not self._whole:
            return [()] * len(bodies)
        found = dict(self._asked_of(bodies, _MATCHES, self._whole))
        return [tuple(_borders(found[row])) if row in found else None for row in range(len(bodies))]

    def _asked_of(self, texts: Sequence[str], statement: str, *values: str) -> list[Any]:
        """Run a statement on some texts, numbered from 0; none of them stays."""
        self._memory.execute("BEGIN").close()
        rows = enumerate(map(apart, texts))
        self._memory.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", rows).close()
        found = self._memory.execute(statement, values).fetchall()
        self._memory.execute("ROLLBACK").close()
        return found

    def _take_apart(self, terms: Sequence[Term]) -> tuple[list[Term], list[str]]:
        """Return the terms that have a word, and their words as the index is asked for them."""
        words: dict[int, list[str]] = {}
        for number, word in self._asked_of([term.text for term in terms], _WORDS):
            words.setdefault(number, []).append(word)
        asked: dict[str, None] = {}  # each once, in their order
        for number, own in words.items():
            last = _beginning(own.pop()) if terms[number].is_prefix else None
            asked |= dict.fromkeys(map(_quoted, own))
            if last is not None:
                asked[last] = None
        return [terms[number] for number in words], list(asked)


def _quoted(words: str, is_prefix: bool = False) -> str:
    return '"' + words.replace('"', '""') + ('"*' if is_prefix else '"')


def _beginning(word: str) -> str:
    """Return what finds at least all that begins as `word`: all that has an indexed beginning."""
    length = max((length for length in PREFIXES if length <= len(word)), default=0)
    return _quoted(word[:length], is_prefix=True) if length else _quoted(word)


def _borders(marked: str) -> Iterator[tuple[int, int]]:
    ends: list[int] = []
    for part in marked.replace(BORDER, "").split(_MARK)[:-1]:
        ends.append((ends[-1] if ends else 0) + len(part))
    for number, (start, end) in enumerate(pairwise(ends)):
        if number % 2 == 0:
            yield start, end
