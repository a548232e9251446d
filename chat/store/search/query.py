"""The grammar of a search query: words, "phrases in quotes", and prefix*.

Operators (`from:`, `in:`, `before:`, …) are fields of the command: the client parses them, because
it knows the user's time zone. In a query, they are ordinary words.
"""

from __future__ import annotations

from chat.errors import CommandError, ErrorCode
from chat.tokenizer import Term, is_unspaced, terms_of

__all__ = ["parse_query"]

TERMS_MAX = 20
PREFIX_MIN = 3
"""Fewest letters before a `*`; a character of an unspaced script suffices as well.

A shorter prefix would read most of the index.
"""


def parse_query(query: str) -> tuple[Term, ...]:
    """Return the terms of a query; punctuation is ignored.

    Raises:
        CommandError: invalid, field `query`: too many terms, or a prefix that is too short.
    """
    terms = terms_of(query)
    for term in terms:
        last = term.words[-1]
        if term.is_prefix and len(last) < PREFIX_MIN and not is_unspaced(last):
            raise _refused(f"type at least {PREFIX_MIN} letters before the *")
    if len(terms) > TERMS_MAX:
        raise _refused(f"at most {TERMS_MAX} words and phrases can be searched for at once")
    return terms


def _refused(reason: str) -> CommandError:
    return CommandError(ErrorCode.INVALID, f"query: {reason}", field="query")
