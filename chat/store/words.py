"""The words under which a message is found: those of its text, and its traits.

The words come from `chat.tokenizer`. Traits are further words: the author, a flag for links, and
the window of the channel. They begin with a sign that no word of a text contains. A search for
several words adds the word of a window, which limits it to that window.
"""

from __future__ import annotations

from typing import NamedTuple

from chat.links import has_link
from chat.tokenizer import folded

__all__ = [
    "LINK_TRAIT",
    "PREFIXES",
    "SEQ_BITS",
    "WINDOW",
    "Word",
    "author_trait",
    "row_id",
    "window_start",
    "window_trait",
    "words_of",
]

PREFIXES = (3, 5)
"""Lengths of indexed prefixes, in characters."""
WINDOW = 1 << 14
"""Messages of a channel per window, for searches with several words."""
SEQ_BITS = 36

_TRAIT = "·"
"""The first character of a trait: FTS5's tokenizer accepts it as a letter, `folded` does not."""
LINK_TRAIT = f"{_TRAIT}link"


class Word(NamedTuple):
    """A word of a query, or with `is_prefix` an indexed prefix of it."""

    text: str
    is_prefix: bool = False


def words_of(channel_id: int, seq: int, author_id: int, body: str) -> str:
    """Return the words of a message, separated by blanks."""
    words = f"{folded(body)} {author_trait(author_id)} {window_trait(channel_id, seq)}"
    return f"{words} {LINK_TRAIT}" if has_link(body) else words


def row_id(channel_id: int, seq: int) -> int:
    """Return a number for a message that is adjacent to those of its channel."""
    return channel_id << SEQ_BITS | seq


def author_trait(author_id: int) -> str:
    """Return the word of the author."""
    return f"{_TRAIT}a{author_id}"


def window_trait(channel_id: int, seq: int) -> str:
    """Return the word of the window that contains `seq`."""
    return f"{_TRAIT}w{row_id(channel_id, seq) // WINDOW}"


def window_start(seq: int) -> int:
    """Return the first seq of the window that contains `seq`."""
    return max(1, seq - seq % WINDOW)
