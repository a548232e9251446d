"""Rank names against a few typed letters: prefixes first, then substrings. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["rank", "spread"]


def spread(word: str, name: str) -> int | None:
    """Return how far apart the letters of `word` lie in `name`, upper and lower case alike.

    0: `name` begins with them; None: it does not hold them all in order. The smaller, the better.
    """
    word, name = word.lower(), name.lower()
    if name.startswith(word):
        return 0
    if word in name:
        return len(word)
    first = at = name.find(word[0])
    for char in word[1:]:
        if at < 0:
            break
        at = name.find(char, at + 1)
    return None if at < 0 else at - first + 1


def rank(word: str, names: Iterable[str]) -> list[int]:
    """Return the places of those `names` that match `word`, the best first; ties as they came."""
    low = word.lower()
    found: list[tuple[bool, int, int]] = []
    for place, name in enumerate(names):
        distance = spread(word, name)
        if distance is not None:
            found.append((name.lower() != low, distance, place))
    return [place for _, _, place in sorted(found)]
