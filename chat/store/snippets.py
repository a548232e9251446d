"""Which part of a message a search shows: what was found, with some of the text around it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Marks", "snippet"]

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
