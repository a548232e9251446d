"""Read settings from flags, `CHAT_…` variables, and `server.toml`.

A flag wins over a variable, a variable over the file (`server.toml` in the user's configuration
folder), the file over the default. An empty variable counts as not set. A list is repeated flags,
or items separated by commas, or a JSON list; in the file also a TOML list.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

from platformdirs import user_config_path
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from chat import __version__
from chat.completion import add_completion
from chat.durations import duration_text
from chat.errors import StartupError
from chat.program import tell
from chat.server.config.settings import KNOWN, DataSettings, ServerSettings, settings_of
from chat.server.config.values import flag_of
from chat.text import quoted_value

__all__ = ["command_lines", "commands", "config_file", "example_lines", "load", "meaning_of"]

S = TypeVar("S", bound="DataSettings")

PREFIX = "CHAT_"
SIMILAR = 0.75
SIMILAR_VARIABLE = 0.87
"""Similarity (0 to 1) from which a name is suggested for a misspelled one."""
_SECRET = re.compile(r"(//)[^/@]*(@)|(password=)[^&]*")
"""A name and a password in a URL, which no message repeats."""
_TABLES = {name.partition(".")[0] for name in KNOWN if "." in name}


def config_file() -> Path:
    """Return the path of the settings file."""
    return user_config_path("chat", appauthor=False) / "server.toml"


def commands() -> Mapping[str, type[DataSettings]]:
    """Return the settings of each command; the server's start does without this import."""
    from chat.server.config.commands import COMMANDS

    return COMMANDS


def load(kind: type[S], program: str, argv: list[str]) -> S:
    """Read settings of `kind` from all their sources.

    Raises:
        StartupError: a flag, a variable or the file is wrong; the message names it.
        SystemExit: after `--help` (0).
    """
    settings, parsed = settings_of(kind), _flags(kind, program, argv)
    flags = [
        _Given(name, value, name.upper() if name in kind.positional else flag_of(name))
        for name, value in parsed.items()
        if value is not None
    ]
    named = parsed.get("config")
    file = _in_file(Path(named or config_file()).expanduser(), must_exist=named is not None)
    given = {each.name: each for each in (*file, *_in_environment(), *flags)}
    values: dict[str, Any] = {}
    for each in given.values():
        if each.name in settings:
            group, dot, name = each.name.rpartition(".")
            (values.setdefault(group, {}) if dot else values)[name] = each.value
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        raise StartupError(_explain(exc.errors(include_url=False)[0], given)) from None


@dataclass(frozen=True, slots=True)
class _Given:
    """The value of a setting, and its source: `--port`, `CHAT_PORT`, or the file."""

    name: str
    value: Any
    where: str


def _in_environment() -> Iterator[_Given]:
    """Read the environment variables, in upper or lower case.

    Unknown variables are ignored: Kubernetes sets names such as CHAT_SERVICE_HOST.
    """
    names = {_variable(name): name for name in KNOWN}
    for variable, value in sorted(os.environ.items()):
        upper = variable.upper()
        table = upper.removeprefix(PREFIX).lower()
        if not upper.startswith(PREFIX) or not value:
            continue
        if upper in names:
            yield _Given(names[upper], value, variable)
        elif table in _TABLES:
            yield from _in_json(table, value, variable)
        elif table.partition("__")[0] in _TABLES:
            raise StartupError(f"{variable} is not a setting{_similar(upper, names)}")
        elif near := _nearest(upper, names, SIMILAR_VARIABLE):
            tell(f"chat-server: {variable} is ignored; did you mean {near[0]}?")


def _in_json(table: str, value: str, variable: str) -> Iterator[_Given]:
    try:
        content = json.loads(value)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise StartupError(f"{variable}: must be a JSON object; or set the {variable}__… variables")
    for name, each in content.items():
        dotted = f"{table}.{name.replace('-', '_')}"
        if dotted not in KNOWN:
            raise StartupError(f"{variable}: {name!r} is not a setting{_similar(dotted, KNOWN)}")
        yield _Given(dotted, each, f"{name} in {variable}")


def _in_file(file: Path, *, must_exist: bool) -> Iterator[_Given]:
    try:
        written = file.read_text("utf-8-sig")
        import tomllib  # lazy: many servers have no file

        content = tomllib.loads(written)
    except OSError as exc:
        if isinstance(exc, FileNotFoundError | NotADirectoryError) and not must_exist:
            return
        raise StartupError(f"cannot read {file}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise StartupError(f"cannot read {file}: {exc}") from None
    spelled: dict[str, str] = {}
    for key, value in _flat(content):
        name = key.replace("-", "_")
        if name in _TABLES:
            raise StartupError(f"{file}: {key} must be a table")
        if name not in KNOWN:
            raise StartupError(f"{file}: {key} is not a setting{_similar(name, KNOWN)}")
        if name in spelled:
            raise StartupError(f"{file}: {spelled[name]} and {key} are the same setting; keep one")
        spelled[name] = key
        yield _Given(name, value, f"{key} in {file}")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _nearest(word: str, known: Iterable[str], cutoff: float = SIMILAR) -> list[str]:
    """Return the most similar of the known words, or nothing."""
    from difflib import get_close_matches  # lazy: for errors only

    return get_close_matches(word, known, 1, cutoff)


def _similar(name: str, known: Mapping[str, Any]) -> str:
    found = _nearest(name, known)
    return f"; did you mean {found[0]}?" if found else ""


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


# Error messages

_RULES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be less than {lt:,}",
    "less_than_equal": "must be at most {le:,}",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length:,} characters",
    "literal_error": "must be {expected}",
    "too_short": "must name at least one",
    "value_error": "{error}",
}


def _explain(fault: ErrorDetails, given: Mapping[str, _Given]) -> str:
    """Return the error message of a wrong setting: its source, its value, and the rule."""
    path = ".".join(part for part in fault["loc"] if isinstance(part, str))
    source = next((each for name, each in given.items() if f"{path}.".startswith(f"{name}.")), None)
    context = fault.get("ctx", {})
    reason = _RULES.get(fault["type"], "cannot be used").format_map(context)
    if fault["type"] == "literal_error":
        reason = reason.replace("'", "")
    if fault["type"] == "missing":
        return f"{flag_of(path)} is missing"
    if source is None:
        return reason
    shown = fault["input"]
    if isinstance(shown, str):
        shown = _SECRET.sub(r"\1\3…\2", shown)
    text = f"{source.where} {quoted_value(shown)}: {reason}"
    if source.where == "CHAT_PORT" and str(source.value).startswith("tcp://"):
        text += (
            ". Kubernetes sets this variable for a service called chat: set enableServiceLinks to "
            "false, or use --port"
        )
    return text


# Flags

_METAVARS = {
    "config": "FILE",
    "data": "FOLDER",
    "store": "URL",
    "file": "FILE",
    "reserved_names": "NAME",
    "host": "ADDRESS",
    "port": "PORT",
    "server_name": "NAME",
    "metrics_listen": "HOST:PORT",
    "public_url": "URL",
    "tls_cert": "FILE",
    "tls_key": "FILE",
    "destination": "URL",
    "broker": "URL",
    "broker_credentials": "FILE",
    "broker_ca": "FILE",
    "allow_origin": "ORIGIN",
    "exempt_address": "NETWORK",
    "trusted_proxy": "NETWORK",
    "queue_bytes": "BYTES",
    "channel": "CHANNEL",
    "reserved_channels": "CHANNEL",
    "retention": "DURATION",
    "expires": "DURATION",
    "for_": "DURATION",
    "since": "DURATION",
    "account": "NAME",
    "act": "ACT",
    "label": "TEXT",
    "reason": "TEXT",
    "target": "NAME|ADDRESS",
    "address_rate": "NUMBER",
    "limits.frame": "BYTES",
    "limits.rate": "NUMBER",
    "limits.text": "CHARACTERS",
    "limits.topic": "CHARACTERS",
    "limits.name": "CHARACTERS",
    "limits.emoji": "CHARACTERS",
}
_BY_TYPE = {float: "SECONDS", int: "NUMBER", int | None: "NUMBER"}


class _Parser(argparse.ArgumentParser):
    def __init__(self, *, kind: type[DataSettings] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._kind = kind

    def format_help(self) -> str:
        if self._kind is not None:  # now, because the server's names all commands
            self.epilog = _epilog(self._kind)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise StartupError(f"{message}; see {self.prog} --help")


def _flags(kind: type[DataSettings], program: str, argv: list[str]) -> dict[str, Any]:
    parsed, unknown = _parser(kind, program).parse_known_args(argv)
    if not unknown:
        return vars(parsed)
    first = unknown[0].partition("=")[0]
    if first.startswith("-"):
        known, what = [flag_of(name) for name in settings_of(kind)], "a flag"
    else:
        groups = {name.partition(" ")[0] for name in commands()}
        known = [*commands(), *groups, "schema"] if kind is ServerSettings else []
        what = "expected here"
    found = _nearest(first, known)
    if command := next((name for name in known if unknown == name.split()), None):
        at = argv.index(first)
        rest = " ".join([*argv[:at], *argv[at + len(unknown) :]])
        raise StartupError(f"put flags after the command: {program} {command} {rest}")
    offer = f"did you mean {found[0]}?" if found else f"see {program} --help"
    raise StartupError(f"{first} is not {what}; {offer}")


def _parser(kind: type[DataSettings], program: str) -> argparse.ArgumentParser:
    is_program = kind is ServerSettings
    parser = _Parser(
        kind=kind,
        prog=program,
        usage="%(prog)s [options]\n       %(prog)s COMMAND [options]" if is_program else None,
        description=kind.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="Show this help and exit")
    if is_program:
        parser.add_argument(
            "--version",
            action="version",
            version=f"{program} {__version__}",
            help="Show the version and exit",
        )
        add_completion(parser, _command_parsers)
    limits = parser.add_argument_group("limits (sent to clients in `welcome`)")
    for name, field in settings_of(kind).items():
        help_text = meaning_of(field).replace("%", "%%")
        if name in kind.positional:
            parser.add_argument(name, metavar=_METAVARS.get(name, name.upper()), help=help_text)
            continue
        if field.exclude:  # from the file and the environment only
            continue
        if field.annotation is bool:
            parser.add_argument(
                flag_of(name), dest=name, action="store_true", default=None, help=help_text
            )
            continue
        is_list = isinstance(field.get_default(call_default_factory=True), list)
        choices = get_args(field.annotation) if field.annotation is not None else ()
        is_choice = bool(choices) and all(isinstance(choice, str) for choice in choices)
        metavar = _METAVARS.get(name) or _BY_TYPE.get(field.annotation, "VALUE")
        (limits if "." in name else parser).add_argument(
            flag_of(name),
            dest=name,
            metavar="|".join(choices) if is_choice else metavar,
            action="append" if is_list else "store",
            help=help_text + _default(field.get_default(call_default_factory=True)),
        )
    return parser


def _command_parsers() -> dict[str, argparse.ArgumentParser]:
    found = {name: _parser(kind, f"chat-server {name}") for name, kind in commands().items()}
    schema = _Parser(description="Print the JSON Schema of the protocol", add_help=False)
    return {**found, "schema": schema}


def meaning_of(field: FieldInfo) -> str:
    """Return the description of a setting, without a final period."""
    return (field.description or "").rstrip(".")


def _default(value: object) -> str:
    if value is None or value in ([], ""):
        return ""
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, timedelta):
        shown = duration_text(value.total_seconds())
    return f" (default: {shown})".replace("%", "%%")


def _epilog(kind: type[DataSettings]) -> str:
    file = config_file()
    examples = example_lines(kind.examples)
    if kind is not ServerSettings:
        return f"{examples}\n--data can also be set as CHAT_DATA or in\n{file}."
    return (
        f"commands (each has its own --help):\n{command_lines(commands())}"
        f"  {'schema':13}  Print the JSON Schema of the protocol\n\n{examples}\n"
        "Each flag can also be set as an environment variable (such as CHAT_PORT or\n"
        f"CHAT_LIMITS__TEXT) or in {file}."
    )


def example_lines(examples: Iterable[str]) -> str:
    """Return the part of a help page with these command lines."""
    return "".join(("examples:\n", *(f"  {each}\n" for each in examples)))


def command_lines(names: Iterable[str]) -> str:
    """Return a line for each of these commands, with its description."""
    return "".join(
        f"  {name:13}  {(commands()[name].__doc__ or '').splitlines()[0].rstrip('.')}\n"
        for name in names
    )
