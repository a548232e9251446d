"""The reference tables of the manual, generated from the programs' own registries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from chat.client.config.options import options
from chat.client.config.settings import ClientSettings
from chat.client.exit_codes import MEANINGS
from chat.client.model.slash.commands import COMMANDS as SLASH_COMMANDS
from chat.client.scripting.cli import COMMANDS as SCRIPT_COMMANDS
from chat.client.tui.app import key_rows
from chat.client.tui.keymap import together
from chat.protocol.reference import CLOSES, ERRORS
from chat.protocol.values import Limits
from chat.rights import ARCHIVED, BY_SETTING, RIGHTS, Right, Standing
from chat.server.config.commands import COMMANDS as SERVER_COMMANDS
from chat.server.config.settings import ServerSettings, is_reloaded
from chat.server.config.sources import meaning_of
from chat.server.monitoring.metrics import Metrics

__all__ = [
    "client_settings",
    "close_codes",
    "error_codes",
    "exit_codes",
    "keys",
    "limits",
    "metrics",
    "rights",
    "script_commands",
    "server_commands",
    "server_settings",
    "slash_commands",
    "table",
]


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    titles = tuple(head)
    lines = (titles, ("---",) * len(titles), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def keys() -> str:
    rows = (
        (row.group, ", ".join(f"`{key}`" for key in row.keys), row.help, f"`{row.id}`")
        for row in together(key_rows())
    )
    return table(("where", "key", "action", "name"), rows)


def slash_commands() -> str:
    rows = (
        (
            f"`{row.usage}`".replace("|", "\\|"),
            row.help + (" (admins)" if row.is_for_admins else ""),
            f"`{row.example}`",
        )
        for row in SLASH_COMMANDS
    )
    return table(("command", "action", "example"), rows)


def client_settings() -> str:
    rows = (
        (f"`{name}`", _value(_default(each)), known.help.rstrip("."))
        for name, (known, each) in options(ClientSettings).items()
    )
    return table(("setting", "default", "meaning"), rows)


def _default(field: Any) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def script_commands() -> str:
    return table(("command", "flag", "meaning"), _script_rows())


def _script_rows() -> Iterator[tuple[str, ...]]:
    for name, (make, _work) in SCRIPT_COMMANDS.items():
        parser = make()
        yield f"`chat-client {name} CHANNEL`", "", str(parser.description)
        for action in parser.arguments:
            if action.dest in ("help", "channel") or action.dest in options(ClientSettings):
                continue
            flag = ", ".join(action.option_strings) or action.dest.upper()
            value = f" {action.metavar}" if action.metavar and action.option_strings else ""
            yield "", f"`{flag}{value}`", str(action.help)


def exit_codes() -> str:
    return table(("code", "meaning"), ((code.value, text) for code, text in MEANINGS.items()))


def server_settings() -> str:
    rows = [_server_row(name, each) for name, each in ServerSettings.model_fields.items()]
    rows = [row for row in rows if row[0] != "`limits`"]
    rows += [_server_row(f"limits.{name}", each) for name, each in Limits.model_fields.items()]
    return table(("setting", "default", "reload", "meaning"), rows)


def _server_row(name: str, field: Any) -> tuple[str, str, str, str]:
    default = _value(field.get_default(call_default_factory=True))
    return f"`{name}`", default, _yes(is_reloaded(name)), meaning_of(field)


def metrics() -> str:
    rows = (
        (f"`{each.name}`", type(each).__name__.removeprefix("Labeled").lower(), each.meaning)
        for each in Metrics().every()
    )
    return table(("metric", "type", "meaning"), rows)


def server_commands() -> str:
    rows = (
        (f"`chat-server {' '.join((name, *map(str.upper, kind.positional)))}`", _first_line(kind))
        for name, kind in SERVER_COMMANDS.items()
    )
    return table(("command", "action"), rows)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def error_codes() -> str:
    rows = ((f"`{code}`", _yes(code.retryable), text) for code, text in ERRORS.items())
    return table(("`code`", "retry", "meaning"), rows)


def close_codes() -> str:
    rows = ((code.value, _yes(code.may_return), text) for code, text in CLOSES.items())
    return table(("code", "reconnect", "meaning"), rows)


def limits() -> str:
    rows = (
        (f"`{name}`", _value(field.default), meaning_of(field))
        for name, field in Limits.model_fields.items()
    )
    return table(("limit", "default", "meaning"), rows)


_ACTS: dict[Right, str] = {
    "read": "read the messages, search, list the members",
    "send": "send, reply, react, edit own messages",
    "leave": "leave, delete own messages",
    "typing": "be shown as typing",
    "pin": "pin messages",
    "topic": "set the topic",
    "invite": "invite others",
    "moderate": "delete others' messages; kick, ban and mute",
    "roles": "change roles, pass the ownership on",
    "settings": "change settings, make private, archive, delete",
}
"""The meaning of each right for users."""
_STANDINGS: tuple[Standing, ...] = ("owner", "moderator", "member", "muted")


def rights() -> str:
    rows = (
        (
            act,
            *(
                f"by `{BY_SETTING[right]}`"
                if standing == "member" and right in BY_SETTING
                else _yes(right in RIGHTS[standing])
                for standing in _STANDINGS
            ),
            _yes(right in ARCHIVED),
        )
        for right, act in _ACTS.items()
    )
    return table(("", *_STANDINGS, "if archived"), rows)


def _value(default: object) -> str:
    """Return a default as a person writes it; empty if there is none, or it is a folder."""
    match default:
        case None | "" | Path() | () | [] | {}:
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case float():
            return f"`{default:g}`"
        case list() | tuple():
            return ", ".join(f"`{each}`" for each in default)
        case _:
            return f"`{default}`"


def _yes(fact: bool) -> str:
    return "yes" if fact else ""
