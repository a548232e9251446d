"""Tab in a line, as in a shell: what is certain is written, else what could be meant is said.

Pure; it is told of the same offers as the composer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat.client.presenter.completing import Sources, complete

__all__ = ["Tabbed", "tab"]

_MOST = 20
"""Offers that are said at once."""


@dataclass(frozen=True, slots=True)
class Tabbed:
    """The line after Tab, and what else could be meant: nothing, or a line to say."""

    text: str
    offers: str = ""


def tab(text: str, sources: Sources) -> Tabbed:
    """Complete the end of `text`, as far as it is certain."""
    found = complete(text, sources)
    if found is None:
        return Tabbed(text)
    before, word = text[: found.start], text[found.start :]
    begun = [each for each in found.candidates if each.is_prefix]
    candidates = begun or found.candidates
    inserts = [each.insert for each in candidates]
    shared = inserts[0][: _agreed([insert.lower() for insert in inserts])]
    goes_on = len(shared) > len(word) and shared.lower().startswith(word.lower())
    if len(inserts) == 1 or goes_on:
        return Tabbed(before + shared)
    offers = ", ".join(each.label for each in candidates[:_MOST])
    more = len(candidates) - _MOST
    return Tabbed(text, f"{offers} and {more} more" if more > 0 else offers)


def _agreed(texts: Sequence[str]) -> int:
    """Return how many characters all `texts` begin with."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(first))
