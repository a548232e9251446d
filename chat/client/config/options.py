"""Parsers of setting values: flags and variables are text, the file has types.

Without pydantic, whose import takes a sixth of the time until the first page is shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

__all__ = ["Option", "command", "on_or_off", "one_of", "option", "options", "path", "text", "words"]

Reader = Callable[[object], Any]
"""Converts a given value to the setting's type; raises `ValueError` with a message for the user."""

_OPTION = "option"
_WORDS_MAX, _WORD_MAX = 100, 64
_ON = frozenset({"1", "true", "yes", "on", "y", "t"})
_OFF = frozenset({"0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True, slots=True)
class Option:
    """The metadata of one setting.

    Args:
        help: one sentence for the user.
        read: converts the given value.
        choices: the allowed words, if there are only a few.
        in_file_only: whether it is a table, which has no flag and no variable.
        is_secret: whether it is a variable only: others can read a command line.
    """

    help: str
    read: Reader
    choices: tuple[str, ...] = ()
    in_file_only: bool = False
    is_secret: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, so that its flag takes no value."""
        return self.read is on_or_off


def option(
    default: Any,
    read: Reader,
    help: str,
    *,
    choices: object = None,
    in_file_only: bool = False,
    is_secret: bool = False,
) -> Any:
    """Return a dataclass field for a setting; a callable default is called for each instance."""
    known = Option(help, read, get_args(choices), in_file_only, is_secret)
    if callable(default):
        return field(default_factory=default, metadata={_OPTION: known})
    return field(default=default, repr=not is_secret, metadata={_OPTION: known})


def options(kind: type) -> Mapping[str, tuple[Option, Field[Any]]]:
    """Return the settings of a class by name, each with its field."""
    found = {each.name: (each.metadata.get(_OPTION), each) for each in fields(kind)}
    return {name: (known, each) for name, (known, each) in found.items() if known is not None}


def text(value: object) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def path(value: object) -> Path:
    """Read a path; `~` is the home directory."""
    if value == "":
        raise ValueError("must not be empty")
    return value if isinstance(value, Path) else Path(text(value)).expanduser()


def on_or_off(value: object) -> bool:
    """Read a switch."""
    word = str(value).lower()
    if word not in _ON | _OFF:
        raise ValueError("must be true or false")
    return word in _ON


def one_of(choices: object) -> Reader:
    """Return a reader for the words of a `Literal`."""
    known = get_args(choices)

    def read(value: object) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return str(value)

    return read


def words(value: object) -> tuple[str, ...]:
    """Read words: a list, or text separated by commas."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("must be words separated by commas")
    found = tuple(word for each in given if (word := text(each).strip()))
    if len(found) > _WORDS_MAX or any(len(word) > _WORD_MAX for word in found):
        raise ValueError(f"must have at most {_WORDS_MAX} words of at most {_WORD_MAX} characters")
    return found


def command(value: object) -> tuple[str, ...]:
    """Read a program and its arguments: a list, or text in shell syntax."""
    given = shlex.split(value) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("must be a program and its arguments")
    return tuple(map(text, given))
