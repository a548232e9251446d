"""The first run: ask for name and server, show three keys, remember the answers.

A flag, a variable or the settings file overrides the remembered answers.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, check_url, with_remembered
from chat.client.storage.known_servers import DEFAULT_URL
from chat.errors import StartupError
from chat.program import tell
from chat.text import check_new_name, printable_line

__all__ = ["with_name"]


S = TypeVar("S", bound=ClientSettings)


def with_name(settings: S) -> S:
    """Return the settings with a name; ask for the name, and for the server if none was chosen.

    Raises:
        StartupError: standard input is at its end.
    """
    known = with_remembered(settings)
    if known.name:
        return known
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        tell(
            "Welcome. Choose the name that others see. Use --demo to try the client without a "
            "server.\n"
        )
    name = _ask_name()
    url = known.url
    if url == DEFAULT_URL and "url" not in settings.given:
        url = _ask_url(url)
        ClientPaths(settings.data).servers.choose(url)
    if is_terminal and not settings.plain:
        _show_keys(settings)
    return known.but(name=name, url=url)


def _ask_name() -> str:
    """Ask for a name until it is valid."""
    while True:
        try:
            name = input("Your name: ").strip()
            return check_new_name(name)
        except EOFError:
            raise StartupError("no name given; use --name NAME") from None
        except ValueError as exc:
            tell(f"“{printable_line(name)}” {exc}.")


def _ask_url(default: str) -> str:
    """Ask for the server's address until it is valid; Enter chooses `default`."""
    while True:
        try:
            answer = input(f"Server [{default}]: ").strip()
            return check_url(answer) if answer else default
        except EOFError:
            return default
        except ValueError as exc:
            tell(f"An address {exc}.")


def _show_keys(settings: ClientSettings) -> None:
    """Show three keys with the user's bindings, and wait for Enter."""
    from chat.client.tui.app import key_rows
    from chat.client.tui.keymap import key_label

    tell("\nThree keys to know:")
    rows = {row.id: row for row in key_rows(settings.keys)}
    for action in ("help", "channel.switch", "quit"):
        row = rows[action]
        tell(f"  {key_label(row.keys[0]):<8}{row.help}")
    try:
        input("\nPress Enter to start. ")
    except EOFError:
        return
