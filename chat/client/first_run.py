"""The first run: ask for name and server, show three keys, remember the answers.

What was asked once is remembered; a flag, a variable or the settings file always wins over it.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, check_url, remembered
from chat.client.storage.known_servers import DEFAULT_URL
from chat.errors import StartupError
from chat.program import tell
from chat.text import check_name

__all__ = ["introduced"]


S = TypeVar("S", bound=ClientSettings)


def introduced(settings: S) -> S:
    """Return the settings with a name: ask for it, and for the server, if there is none yet.

    Raises:
        StartupError: nobody answers.
    """
    known = remembered(settings)
    if known.name:
        return known
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        tell("Welcome. The first user of a name owns it. Use --demo to try it without a server.\n")
    name = _ask_name()
    url = known.url
    if url == DEFAULT_URL and "url" not in settings.given:
        url = _ask_url(url)
        ClientPaths(settings.data).servers.choose(url)
    if is_terminal and not settings.plain:
        _show_keys(settings)
    return known.but(name=name, url=url)


def _ask_name() -> str:
    """Ask for a name on the terminal until it is one."""
    while True:
        try:
            return check_name(input("Your name: ").strip())
        except EOFError:
            raise StartupError("no name given; use --name NAME") from None
        except ValueError as exc:
            tell(f"A name {exc}.")


def _ask_url(default: str) -> str:
    """Ask for the server's address until it is one; Enter takes `default`."""
    while True:
        try:
            answer = input(f"Server [{default}]: ").strip()
            return check_url(answer) if answer else default
        except EOFError:
            return default
        except ValueError as exc:
            tell(f"An address {exc}.")


def _show_keys(settings: ClientSettings) -> None:
    """Show three keys, as this person has them, and wait until they were read."""
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
