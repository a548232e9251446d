"""Rank names by how well they match a few typed letters."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["rank", "spread"]


def spread(word: str, name: str) -> int | None:
    """Return the distance between the letters of `word` in `name`, ignoring case; lower is better.

    0: `name` starts with `word`; None: `name` does not contain all letters in order.
    """
    word, name = word.lower(), name.lower()
    if name.startswith(word):
        return 0
    if word in name:
        return len(word)
    first = last = name.find(word[0])
    for char in word[1:]:
        if last < 0:
            break
        last = name.find(char, last + 1)
    return None if last < 0 else last - first + 1


def rank(word: str, names: Iterable[str]) -> list[int]:
    """Return the indexes of the `names` that match `word`, best first; ties keep their order."""
    low = word.lower()
    found: list[tuple[bool, int, int]] = []
    for index, name in enumerate(names):
        distance = spread(word, name)
        if distance is not None:
            found.append((name.lower() != low, distance, index))
    return [index for _, _, index in sorted(found)]
