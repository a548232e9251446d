"""`chat-client`: parse the flags, ask for a missing name, start the interface."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from chat import __version__
from chat.client.config.flags import Parser, add_settings, flags_of
from chat.client.config.logging import start_log
from chat.client.config.options import options
from chat.client.config.paths import ClientPaths
from chat.client.config.settings import (
    ClientSettings,
    config_file,
    invitation_of,
    load,
    misspelled,
    with_added_servers,
)
from chat.client.first_run import with_name
from chat.client.storage.private_files import make_private_directory
from chat.completion import add_completion
from chat.errors import StartupError
from chat.program import run_program, tell

__all__ = ["main"]

USAGE_ERROR = 2
PIPES = ("send", "tail", "export")
"""Commands without a screen, see `chat.client.scripting.cli`."""
_VALUES_OF_COMMANDS = ("--timeout", "--since", "--count", "--cid", "-n")
"""Flags of these commands that take a value."""


def main(
    argv: Sequence[str] | None = None, *, show: Callable[[ClientSettings], int] | None = None
) -> int:
    """Run the client; return the exit code.

    Args:
        argv: the arguments; None: those of the process.
        show: runs the interface and returns the exit code; None: the real interface.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_program("chat-client", lambda: _main(arguments, show or show_interface))


def _main(arguments: Sequence[str], show: Callable[[ClientSettings], int]) -> int:
    if command := command_first(arguments):
        from chat.client.scripting.cli import main as run_pipe

        return run_pipe(command)
    try:
        settings = _settings(arguments)
        if not settings.plain:
            check_terminal()
        if settings.demo:
            from chat.client.demo.launcher import demo

            with demo(settings) as demo_settings:
                return show(prepare(demo_settings))
        return show(prepare(settings))
    except StartupError as exc:
        tell(f"chat-client: {exc}")
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130


def command_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `send`, `tail` or `export` moved to the front, before any flags.

    Empty if the arguments contain no such command.
    """
    known = options(ClientSettings)
    is_value = False
    for index, word in enumerate(arguments):
        if is_value:
            is_value = False
        elif word.startswith("-"):
            setting = known.get(word[2:].replace("-", "_"))
            has_value = not setting[0].is_switch if setting else word in _VALUES_OF_COMMANDS
            is_value = has_value and "=" not in word
        else:
            return [word, *arguments[:index], *arguments[index + 1 :]] if word in PIPES else []
    return []


def _settings(arguments: Sequence[str]) -> ClientSettings:
    """Read the settings; `--url` replaces all stored and configured servers."""
    flags = _parser().parse_args(arguments)
    given = {key: value for key, value in vars(flags).items() if value is not None}
    if "url" not in given:
        return with_added_servers(load(given))
    first, *further = " ".join(given["url"]).split() or [""]
    return load({**given, "url": first, "servers": [{"url": url} for url in further]})


def check_terminal() -> None:
    """Check that standard input, output and error are a terminal.

    Raises:
        StartupError: one of them is not.
    """
    # Textual draws on standard error; the first run's questions go to standard output.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise StartupError(
            "standard input, output and error must be a terminal. Use --plain, or send a message "
            "with chat-client send '#general' TEXT"
        )


def prepare(settings: ClientSettings) -> ClientSettings:
    """Check data folder, token, invitation, log and name before the interface starts.

    Raises:
        StartupError: one line that says what to do.
    """
    for line in misspelled():
        tell(f"chat-client: {line}")
    paths = ClientPaths(settings.data)
    make_private_directory(settings.data)
    if settings.token_file is not None:
        from chat.client.storage.tokens import read_token_file

        read_token_file(settings.token_file)
    invitation_of(settings)
    start_log(settings)
    settings = with_name(settings)
    paths.servers.remember_use(settings.url, settings.name)
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="chat-client",
        usage="%(prog)s [options]\n       %(prog)s COMMAND [options] CHANNEL",
        description="A terminal chat client that never loses a message.",
        examples=(
            "chat-client --name alice",
            "chat-client --name alice --url wss://chat.example.org",
            "chat-client --demo",
            "chat-client send '#builds' 'Release 1.4 is out'",
        ),
        epilog="Commands without a screen: chat-client send, tail, export (each with --help).\n"
        "Settings can also be set as environment variables (such as CHAT_NAME) or in\n"
        f"{config_file()}, which also holds [keys] and [themes].",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"chat-client {__version__}",
        help="Show the version and exit",
    )
    add_completion(parser, _command_parsers)
    add_settings(parser, ClientSettings, flags_of(ClientSettings), several="url")
    return parser


def _command_parsers() -> dict[str, argparse.ArgumentParser]:
    from chat.client.scripting.cli import COMMANDS

    return {name: make() for name, (make, _work) in COMMANDS.items()}


def show_interface(settings: ClientSettings) -> int:
    """Run the screens or plain mode; return the exit code."""
    if settings.plain:
        from chat.client.plain.app import run

        return run(settings)
    # A key pressed right after a paint waits for the next paint. With 200 messages per second, the
    # median wait is 19 ms at Textual's 60 frames per second, and 5 ms at 240.
    os.environ.setdefault("TEXTUAL_FPS", "240")
    from chat.client.tui.terminal import tuning

    tuning.pause_collector()  # before the large imports: saves 50 ms of the start
    from chat.client.tui.app import ChatApp

    ChatApp(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
