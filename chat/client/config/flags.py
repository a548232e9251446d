"""Command-line flags: one for each setting, with one-line errors."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import MISSING, Field
from typing import Any, NoReturn

from chat.client.config.options import Option, options
from chat.errors import StartupError

__all__ = ["Parser", "add_settings", "flags_of"]

_METAVARS = {
    "name": "NAME",
    "url": "URL",
    "data": "FOLDER",
    "device": "LABEL",
    "timeout": "SECONDS",
    "notify_for": "WORDS",
    "keywords": "WORDS",
    "notify_command": "COMMAND",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that raises one-line errors and lists its arguments.

    Args:
        examples: command lines, shown by `--help` before the `epilog`.
    """

    def __init__(self, *, examples: Sequence[str], epilog: str = "", **options: Any) -> None:
        self.arguments: list[argparse.Action] = []
        """All arguments and flags, in the order they were added."""
        shown = "".join(("examples:\n", *(f"  {each}\n" for each in examples)))
        super().__init__(
            **options,
            epilog=f"{shown}\n{epilog}" if epilog else shown,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.add_argument("-h", "--help", action="help", help="Show this help and exit")

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add an argument or a flag, as `argparse` does."""
        action = super().add_argument(*names, **options)
        self.arguments.append(action)
        return action

    def error(self, message: str) -> NoReturn:
        """Raise a `StartupError` with the message."""
        raise StartupError(f"{message}; see {self.prog} --help")


def flags_of(kind: type) -> list[str]:
    """Return the names of a class's settings that have a flag: no tables, and no secrets."""
    return [
        name
        for name, (known, _) in options(kind).items()
        if not (known.in_file_only or known.is_secret)
    ]


def add_settings(
    parser: argparse.ArgumentParser,
    kind: type,
    names: Collection[str],
    *,
    several: str = "",
    hidden: Collection[str] = (),
) -> None:
    """Add a flag to `parser` for each setting in `names`.

    The flag `several` may be repeated. The `hidden` ones are accepted, but `--help` omits them.
    """
    known = options(kind)
    for name in names:
        flag = _flag(name, *known[name])
        if name == several:
            flag |= {"action": "append", "help": f"{flag['help']}; repeat it to add a server"}
        if name in hidden:
            flag["help"] = argparse.SUPPRESS
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, **flag)


def _flag(name: str, known: Option, field: Field[Any]) -> dict[str, Any]:
    """Return the `argparse` options of a setting."""
    text = known.help.replace("%", "%%")
    if known.is_switch:
        return {"action": "store_true", "default": None, "help": text}
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if isinstance(default, tuple):
        default = ",".join(default)
    if default and "default" not in text:
        shown = f"{default:g}" if isinstance(default, float) else default
        text = f"{text} (default: {shown})"
    metavar = "|".join(known.choices) or _METAVARS.get(name, "FILE")
    return {"help": text, "metavar": metavar, "default": None}
