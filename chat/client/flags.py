"""Flags: every setting is one, and a wrong one is told in one line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn, get_args

from pydantic.fields import FieldInfo

from chat.errors import StartupError

__all__ = ["Parser", "add_settings"]

_METAVARS = {
    "name": "NAME",
    "url": "URL",
    "data": "DIR",
    "timeout": "SECONDS",
    "notify_for": "WORDS",
    "keywords": "WORDS",
    "notify_command": "COMMAND",
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Raise what `main` tells."""
        raise StartupError(f"{message}; see {self.prog} --help")


def add_settings(
    parser: argparse.ArgumentParser, settings: Mapping[str, FieldInfo], *, several: str = ""
) -> None:
    """Give `parser` a flag for each of the settings; that called `several` may be repeated."""
    for name, field in settings.items():
        known = _flag(name, field)
        if name == several:
            known |= {"action": "append", "help": f"{known['help']} Again: one more, beside it."}
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, **known)


def _flag(name: str, field: FieldInfo) -> dict[str, Any]:
    """Return what `argparse` needs to know of a setting."""
    text = (field.description or "").replace("%", "%%")
    if field.annotation is bool:
        return {"action": "store_true", "default": None, "help": text}
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, tuple):
        default = ",".join(default)
    if default and "default" not in text:
        text += f" (default: {default})"
    metavar = "|".join(choices) or _METAVARS.get(name, "FILE")
    return {"help": text, "metavar": metavar, "default": None}
