"""`chat-client`: read the settings, ask for a name if there is none, show the screens."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, get_args

from pydantic.fields import FieldInfo

from chat import __version__
from chat.client.cache import Cache, unsent_in
from chat.client.config import ClientSettings, config_file, flags_of, load
from chat.client.places import Places
from chat.client.private import make_private_directory
from chat.client.records import Damaged
from chat.client.tokens import read_token_file
from chat.errors import StartupError
from chat.text import check_name, printable

__all__ = ["main"]

USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return the exit code."""
    try:
        flags = _parser().parse_args(argv)
        settings = load({key: value for key, value in vars(flags).items() if value is not None})
        settings = prepare(settings)
        _show(settings)
        _tell_unsent(settings)
    except StartupError as exc:
        print(f"chat-client: {exc}", file=sys.stderr)  # noqa: T201  the one way to tell
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    return 0


def prepare(settings: ClientSettings) -> ClientSettings:
    """Find what can be wrong before the screen is taken: data folder, token file, log, name.

    Raises:
        StartupError: one line that says what to do.
    """
    places = Places(settings.data)
    make_private_directory(settings.data)
    if settings.token_file is not None:
        read_token_file(settings.token_file)
    _start_log(settings)
    name = settings.name or places.servers.last_name or _ask_name()
    settings = settings.model_copy(update={"name": name})
    places.servers.remember_name(name)
    # Opened and closed: a file that cannot be used is said now, on a terminal that can show it. A
    # damaged one can: the screens set it aside, and tell what was saved.
    with suppress(Damaged):
        Cache(places.current(settings.url, name)).close()
    return settings


class _Printable(logging.Formatter):
    """Lets nothing into the log that could drive the terminal of who reads it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise StartupError(f"{message}; see chat-client --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="chat-client",
        description="A terminal chat that loses nothing you typed.",
        epilog=f"Each can be set as a variable CHAT_NAME too, or in {config_file()}, "
        "which may hold your own [keys] and [themes] as well.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"chat-client {__version__}")
    for name, field in flags_of().items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, **_flag(name, field))
    return parser


def _flag(name: str, field: FieldInfo) -> dict[str, Any]:
    """Return what `argparse` needs to know of a setting."""
    text = (field.description or "").replace("%", "%%")
    if field.annotation is bool:
        return {"action": "store_true", "default": None, "help": text}
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    default = field.get_default(call_default_factory=True, validated_data={})
    if default and "default" not in text:
        text += f" (default: {default})"
    metavar = "|".join(choices) or {"name": "NAME", "url": "URL", "data": "DIR"}.get(name, "FILE")
    return {"help": text, "metavar": metavar, "default": None}


def _ask_name() -> str:
    """Ask for a name on the terminal until it is one."""
    while True:
        try:
            answer = input("Your name: ").strip()
            return check_name(answer)
        except EOFError:
            raise StartupError("no name given; say it with --name NAME") from None
        except ValueError as exc:
            print(f"A name {exc}.", file=sys.stderr)  # noqa: T201  a conversation


def _start_log(settings: ClientSettings) -> None:
    """Log to the file, or nowhere: nothing may write onto the screen the client draws."""
    handler: logging.Handler = logging.NullHandler()
    if settings.log_file is not None:
        try:
            handler = logging.FileHandler(settings.log_file, encoding="utf-8")
            settings.log_file.chmod(0o600)
        except OSError as exc:
            raise StartupError(
                f"cannot write the log {settings.log_file}: {exc.strerror or exc}"
            ) from exc
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("chat").setLevel(settings.log_level.upper())


def _show(settings: ClientSettings) -> None:
    """Run the screens; imported late, so that `--help` is quick."""
    from chat.client.tui.app import ChatApp

    ChatApp(settings).run()


def _tell_unsent(settings: ClientSettings) -> None:
    places = Places(settings.data)
    count = 0
    with suppress(OSError):
        count = unsent_in(places.current(settings.url, settings.name))
    if count:
        what = "1 message is" if count == 1 else f"{count} messages are"
        print(f"{what} not sent yet; the next chat-client will.", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
