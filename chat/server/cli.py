"""`chat-server`: reads the settings, runs the server, and turns errors into one line and a code.

Exit codes: 0 done or stopped by a signal, 1 a mistake of ours (or, from `check`, problems were
found), 2 it cannot start as asked, 130 and 143 ended at once by a second SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine
from typing import Any

from chat import __version__
from chat.errors import StartupError
from chat.protocol.codec import json_schema
from chat.server import administration
from chat.server.config import ServerSettings, load

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run `chat-server` with these arguments; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        match arguments:
            case ["schema", *rest]:
                return _schema(rest)
            case ["token", *rest]:
                return administration.token(rest)
            case ["backup", *rest]:
                return administration.backup(rest)
            case ["restore", *rest]:
                return administration.restore(rest)
            case ["check", *rest]:
                return administration.check(rest)
            case ["reindex", *rest]:
                return administration.reindex(rest)
            case ["--version"]:
                sys.stdout.write(f"chat-server {__version__}\n")
                return 0
            case _:
                return _serve(arguments)
    except StartupError as exc:
        sys.stderr.write(f"chat-server: {exc}\n")
        return 2


def _schema(rest: list[str]) -> int:
    if rest:
        raise StartupError(f"schema takes no arguments, not {rest[0]!r}")
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def _serve(arguments: list[str]) -> int:
    settings = load(ServerSettings, "chat-server", arguments)
    _set_up_log(settings.log_level.upper())

    def announce(addresses: list[str]) -> None:
        address = addresses[0]
        default = address == "ws://127.0.0.1:3000"
        connect = "chat-client --name YOU" + ("" if default else f" --url {address}")
        lines = (
            f"chat-server {__version__}",
            f"  listening  {'  '.join(addresses)}",
            f"  data       {settings.database}",
            f"  connect    {connect}",
            "  stop       Ctrl+C",
        )
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    from chat.server.app import run

    _run(run(settings, announce))
    return 0


def _set_up_log(level: str) -> None:
    """Write our own lines from `level` on, and libraries' from warnings on."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    logging.getLogger("chat").setLevel(level)


def _run(main_task: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main_task)
    else:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main_task)


if __name__ == "__main__":
    sys.exit(main())
