"""A row of a list to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["AddRows", "Choice"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One row: what it stands for, how it is called, and what else is to be said of it.

    A row with an empty key only tells something: it cannot be chosen.
    """

    key: str
    label: str
    note: str = ""


AddRows = Callable[[Iterable[Choice]], None]
"""Adds rows to a list that is open already."""
