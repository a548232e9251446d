"""Shell completion of both programs, generated from the parsers of their arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SHELLS", "add_completion"]

SHELLS = ("bash", "zsh", "fish")

Commands = Callable[[], Mapping[str, argparse.ArgumentParser]]
"""Returns the parsers of a program's commands, by names of one or two words."""


def add_completion(parser: argparse.ArgumentParser, commands: Commands) -> None:
    """Add `--print-completion SHELL` to the parser of a program."""
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        commands=commands,
        choices=SHELLS,
        metavar="|".join(SHELLS),
        help="Print the completion script for a shell and exit",
    )


class _PrintCompletion(argparse.Action):
    def __init__(self, *args: Any, commands: Commands, **options: Any) -> None:
        super().__init__(*args, **options)
        self._commands = commands

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        sys.stdout.write(_script(parser, self._commands(), values))
        parser.exit()


def _script(
    program: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser], shell: str
) -> str:
    """Return the script for a shell; `program` gets the commands as subparsers."""
    import shtab  # only here: it would take 15 ms of each start

    nodes = {"": program.add_subparsers(parser_class=argparse.ArgumentParser)}
    for name, parser in commands.items():
        group, _, word = name.rpartition(" ")
        if group not in nodes:
            nodes[group] = nodes[""].add_parser(group, help=group).add_subparsers()
        nodes[group].add_parser(word, parents=[parser], add_help=False, help=parser.description)
    for parser in (program, *commands.values()):
        # argparse has no public list of the arguments that were added.
        for action in parser._actions:  # noqa: SLF001
            metavar = str(action.metavar)
            if metavar in ("FILE", "FOLDER"):
                files = shtab.FILE if metavar == "FILE" else shtab.DIRECTORY
                action.complete = files  # type: ignore[attr-defined]  # read by shtab
            elif "|" in metavar and metavar.islower():
                action.choices = metavar.split("|")
    return f"{shtab.complete(program, shell).rstrip()}\n"
