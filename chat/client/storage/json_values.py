"""Typed values from the client's own JSON files.

Without pydantic, so that the first page is shown before pydantic is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "InvalidValue",
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
Decoder = Callable[[Any], T]
"""Returns a decoded JSON value as a typed one; raises `InvalidValue` if it does not match."""


class InvalidValue(ValueError):
    """The JSON value has another type or shape than expected."""


def text(value: Any) -> str:
    """Decode text."""
    if type(value) is not str:
        raise InvalidValue(f"{value!r} is not text")
    return value


def word(value: Any) -> str:
    """Decode text that occurs often: equal values share one object."""
    return sys.intern(text(value))


def number(value: Any) -> int:
    """Decode a whole number."""
    if type(value) is not int:
        raise InvalidValue(f"{value!r} is not a number")
    return value


def flag(value: Any) -> bool:
    """Decode a boolean."""
    if type(value) is not bool:
        raise InvalidValue(f"{value!r} is neither true nor false")
    return value


def optional(shape: Decoder[T]) -> Decoder[T | None]:
    """Return a decoder that also accepts null."""
    return lambda value: None if value is None else shape(value)


def list_of(shape: Decoder[T]) -> Decoder[list[T]]:
    """Return a decoder of an array."""

    def take(value: Any) -> list[T]:
        if type(value) is not list:
            raise InvalidValue(f"{value!r} is not an array")
        return [shape(each) for each in value]

    return take


def tuple_of(shape: Decoder[T]) -> Decoder[tuple[T, ...]]:
    """Return a decoder of an array, as a tuple."""
    rows = list_of(shape)
    return lambda value: tuple(rows(value)) if value else _nothing(value)


def table_of(shape: Decoder[T]) -> Decoder[dict[str, T]]:
    """Return a decoder of an object with any keys."""

    def take(value: Any) -> dict[str, T]:
        if type(value) is not dict:
            raise InvalidValue(f"{value!r} is not an object")
        return {name: shape(each) for name, each in value.items()}

    return take


def record(kind: Callable[..., T], /, **shapes: Decoder[Any]) -> Decoder[T]:
    """Return a decoder of an object as a `kind`; unknown keys are ignored."""

    def take(value: Any) -> T:
        if type(value) is not dict:
            raise InvalidValue(f"{value!r} is not an object")
        try:
            return kind(**{name: shapes[name](value[name]) for name in value if name in shapes})
        except (TypeError, ValueError) as exc:  # also from the constructor of `kind`
            raise InvalidValue(str(exc)) from exc

    return take


def _nothing(value: Any) -> tuple[()]:
    if value != []:
        raise InvalidValue(f"{value!r} is not an array")
    return ()
