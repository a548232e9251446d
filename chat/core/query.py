"""What may stand in the query of a search: words, "phrases in quotes", and prefix*.

Operators (`from:`, `in:`, `before:`, …) are fields of the command: the client that a person types
them into takes them out, for it knows their time zone. What looks like one here is a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import combining, normalize

from chat.core.words import is_unspaced
from chat.errors import CommandError, ErrorCode

__all__ = ["Term", "parse_query"]

TERMS_MAX = 20
PREFIX_MIN = 3
"""Letters before a `*`, or one character that is a word by itself.

Fewer would have the index read all that everybody ever wrote.
"""

_PIECE = re.compile(r'"(?P<phrase>[^"]*)(?:"|$)(?P<star>\*?)|(?P<word>[^\s"]+)')
_SIGN = r"\W_\u19b0-\u19c9\u1cf2\u1cf3"  # the last are letters today, but not to the index
_LAST_WORD = re.compile(rf"[^{_SIGN}]+(?=[{_SIGN}]*$)")


@dataclass(frozen=True, slots=True)
class Term:
    """One word, or several that follow one another; with `is_prefix` the last may go on."""

    text: str
    is_prefix: bool = False


def parse_query(query: str) -> tuple[Term, ...]:
    """Return the terms of a query, all of which a message must have; signs alone say nothing.

    Raises:
        CommandError: invalid, field `query`: too many terms, or too little before a `*`.
    """
    found: dict[Term, None] = {}
    for piece in _PIECE.finditer(query):
        written = piece["phrase"] if piece["word"] is None else piece["word"]
        is_prefix = bool(piece["star"]) or (piece["word"] or "").endswith("*")
        last = _LAST_WORD.search(written)
        if last is None:
            continue
        if is_prefix and _letters(last[0]) < PREFIX_MIN and not is_unspaced(last[0]):
            raise _refused(f"write at least {PREFIX_MIN} letters before the *")
        found[Term(written, is_prefix)] = None
    if len(found) > TERMS_MAX:
        raise _refused(f"at most {TERMS_MAX} words and phrases can be looked for at once")
    return tuple(found)


def _letters(word: str) -> int:
    """Count the letters of a word as the index keeps it: without capitals and accents."""
    return sum(not combining(each) for each in normalize("NFD", word.casefold()))


def _refused(reason: str) -> CommandError:
    return CommandError(ErrorCode.INVALID, f"query: {reason}", field="query")
