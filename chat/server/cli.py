"""`chat-server`: parse settings, run the server, turn errors into exit codes.

Exit codes: 0 success or stopped by a signal; 1 internal error, or cannot write to standard output
(or `check` or `check-config` found problems, or a command was refused); 2 wrong usage, or cannot
start; 130 and 143 stopped at once by a second SIGINT or SIGTERM; 141 output pipe closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chat import __version__
from chat.errors import StartupError
from chat.program import abandon_output, run_program, tell
from chat.text import printable_line

if TYPE_CHECKING:
    from chat.server.config.settings import ServerSettings

__all__ = ["main"]

DEFAULT = "ws://127.0.0.1:3000"
"""Default address of `chat-client`."""


def main(argv: list[str] | None = None) -> int:
    """Run `chat-server` with these arguments; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return run_program("chat-server", lambda: _main(arguments))


@contextmanager
def _importing() -> Iterator[None]:
    """Collect no garbage while modules are imported, and exclude their objects for good.

    Collections during the imports take an eighth of the start, and the first one after it too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _main(arguments: list[str]) -> int:
    # Pydantic would read the metadata of all installed packages to find plugins; we use none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    try:
        match arguments:
            case ["schema", *rest]:
                return _schema(rest)
            case [word, *rest] if not word.startswith("-"):
                return _command(word, rest)
            case _:
                return _serve(arguments)
    except StartupError as exc:
        tell(f"chat-server: {exc}")
        return 2
    except KeyboardInterrupt:  # before the server handles signals
        return 130


def _command(word: str, rest: list[str]) -> int:
    """Run a command of one word, such as `backup`, or two, such as `user list`."""
    with _importing():
        from chat.server.config.sources import command_lines, commands, example_lines

    known = [name for name in commands() if name.startswith(f"{word} ")]
    if not known:
        return _run_command(word, rest) if word in commands() else _serve([word, *rest])
    if rest in (["-h"], ["--help"]):
        examples = example_lines(line for name in known for line in commands()[name].examples)
        sys.stdout.write(
            f"usage: chat-server {word} COMMAND [options]\n\n"
            f"commands (each has its own --help):\n{command_lines(known)}\n{examples}"
        )
        return 0
    command = " ".join((word, *rest[:1]))
    if command not in known:
        raise StartupError(f"{command} is not a command; choose one of: {', '.join(known)}")
    return _run_command(command, rest[1:])


def _run_command(name: str, rest: list[str]) -> int:
    from chat.server.admin.commands import run

    return run(name, rest)


def _schema(rest: list[str]) -> int:
    if rest in (["-h"], ["--help"]):
        sys.stdout.write(
            "usage: chat-server schema\n\nPrint the JSON Schema of the protocol.\n\n"
            "examples:\n  chat-server schema > chat.schema.json\n"
        )
        return 0
    if rest:
        raise StartupError(f"schema takes no arguments, not {rest[0]!r}")
    from chat.protocol.codec import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def _serve(arguments: list[str]) -> int:
    with _importing():
        from chat.server.config.settings import ServerSettings
        from chat.server.config.sources import load
        from chat.server.monitoring.logs import set_up

    def read_settings() -> ServerSettings:
        return load(ServerSettings, "chat-server", arguments)

    settings = read_settings()
    set_up(settings.log_level, settings.log_format)

    def announce(addresses: list[str], monitoring: list[str]) -> None:
        try:
            sys.stdout.write("\n".join(_banner(settings, addresses, monitoring)) + "\n")
            sys.stdout.flush()
        except OSError as exc:
            abandon_output()
            reason = exc.strerror or exc
            tell(
                f"chat-server: cannot write to standard output: {reason}; the server keeps running"
            )

    with _importing():
        from chat.server.app import run
    _run(run(settings, read_settings, announce))
    return 0


def _banner(settings: ServerSettings, addresses: list[str], monitoring: list[str]) -> Iterator[str]:
    """Return the lines printed at start: addresses, data, and how to connect."""
    yield f"chat-server {__version__}"
    yield f"  listening  {'  '.join(addresses)}"
    if not all(map(_is_loopback, addresses)):
        yield (
            "  open to    everyone who can reach these addresses (restrict: --host 127.0.0.1)"
            if settings.registration == "open"
            else "  reachable  from other machines (restrict: --host 127.0.0.1)"
        )
        if not settings.is_tls:
            yield (
                "  encrypted  no; the network can read everything (encrypt: --tls-cert FILE "
                "--tls-key FILE)"
            )
        if settings.registration == "open":
            yield "  sign-up    open: everyone can take a new name, and another one after a ban"
            yield "             (invited people only: --registration invite; nobody: closed)"
    if settings.registration == "invite":
        yield "  sign-up    invited people only (chat-server invite create)"
    elif settings.registration == "closed":
        yield "  sign-up    closed (add an account: chat-server user add NAME)"
    if monitoring:
        yield f"  metrics    {'  '.join(f'{address}/metrics' for address in monitoring)}"
    yield f"  data       {printable_line(settings.store_name)}"
    address = (*settings.public_url, *addresses)[0]
    connect = "chat-client --name YOU"
    yield f"  connect    {connect}" + ("" if address == DEFAULT else f" --url {address}")
    yield "  stop       Ctrl+C"


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return ip_address(host.partition("%")[0]).is_loopback


def _run(main_task: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main_task)
    else:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main_task)


if __name__ == "__main__":
    sys.exit(main())
