"""Typed values from the client's own JSON files; anything else is damage.

Without pydantic, so that the first page shows before that is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "Misshapen",
    "flag",
    "list_of",
    "number",
    "optional",
    "record",
    "table_of",
    "text",
    "tuple_of",
    "word",
]

T = TypeVar("T")
Shape = Callable[[Any], T]
"""Returns what was decoded as a value; raises `Misshapen` where it is none."""


class Misshapen(ValueError):
    """What was decoded has another shape than what is written here."""


def text(value: Any) -> str:
    """Take text."""
    if type(value) is not str:
        raise Misshapen(f"{value!r} is no text")
    return value


def word(value: Any) -> str:
    """Take text that comes again and again: one object for all of it."""
    return sys.intern(text(value))


def number(value: Any) -> int:
    """Take a whole number."""
    if type(value) is not int:
        raise Misshapen(f"{value!r} is no number")
    return value


def flag(value: Any) -> bool:
    """Take true or false."""
    if type(value) is not bool:
        raise Misshapen(f"{value!r} is neither true nor false")
    return value


def optional(shape: Shape[T]) -> Shape[T | None]:
    """Return what takes null too."""
    return lambda value: None if value is None else shape(value)


def list_of(shape: Shape[T]) -> Shape[list[T]]:
    """Return what takes an array."""

    def take(value: Any) -> list[T]:
        if type(value) is not list:
            raise Misshapen(f"{value!r} is no array")
        return [shape(each) for each in value]

    return take


def tuple_of(shape: Shape[T]) -> Shape[tuple[T, ...]]:
    """Return what takes an array, as a tuple."""
    rows = list_of(shape)
    return lambda value: tuple(rows(value)) if value else _nothing(value)


def table_of(shape: Shape[T]) -> Shape[dict[str, T]]:
    """Return what takes an object of any names."""

    def take(value: Any) -> dict[str, T]:
        if type(value) is not dict:
            raise Misshapen(f"{value!r} is no object")
        return {name: shape(each) for name, each in value.items()}

    return take


def record(kind: Callable[..., T], /, **shapes: Shape[Any]) -> Shape[T]:
    """Return what makes a `kind` of an object; unknown names are left out, as a newer file's."""

    def take(value: Any) -> T:
        if type(value) is not dict:
            raise Misshapen(f"{value!r} is no object")
        try:
            return kind(**{name: shapes[name](value[name]) for name in value if name in shapes})
        except (TypeError, ValueError) as exc:  # what a class says of its values is meant too
            raise Misshapen(str(exc)) from exc

    return take


def _nothing(value: Any) -> tuple[()]:
    if value != []:
        raise Misshapen(f"{value!r} is no array")
    return ()
