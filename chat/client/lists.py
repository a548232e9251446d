"""Settings that are lists: in the file as such, in flags and variables as one text."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from chat.client.calls import REASONS

__all__ = ["Argv", "Keywords", "Reasons"]

_KEYWORDS_MAX, _KEYWORD_MAX = 100, 64


def _words(value: Any) -> Any:
    """Take one text with commas for a list."""
    words = value.split(",") if isinstance(value, str) else value
    return tuple(words) if isinstance(words, list) else words


def _argv(value: Any) -> Any:
    """Take one text, read as a shell would, for a list."""
    words = shlex.split(value) if isinstance(value, str) else value
    return tuple(words) if isinstance(words, list) else words


def _trimmed(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for word in value if word.strip())


def _are_reasons(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [word for word in value if word not in REASONS]:
        raise ValueError(f"“{unknown[0]}” is none of {', '.join(REASONS)}")
    return value


def _are_few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > _KEYWORDS_MAX or any(len(word) > _KEYWORD_MAX for word in value):
        raise ValueError(f"at most {_KEYWORDS_MAX} words of {_KEYWORD_MAX} characters each")
    return value


_Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_trimmed)]
Reasons = Annotated[_Words, AfterValidator(_are_reasons)]
"""Some of `calls.REASONS`."""
Keywords = Annotated[_Words, AfterValidator(_are_few)]
"""Words, with commas between them."""
Argv = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_argv)]
"""A program and its arguments."""
