"""The operator's commands: token, backup, restore, check, reindex.

Results go to standard output, messages to standard error.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from chat.errors import CommandError, StartupError, StoreUnavailable
from chat.program import tell
from chat.server.config import (
    BackupSettings,
    CheckSettings,
    ReindexSettings,
    RestoreSettings,
    TokenSettings,
    load,
)
from chat.text import counted, printable_line

__all__ = ["backup", "check", "reindex", "restore", "token"]


def token(arguments: list[str]) -> int:
    """Issue and print a new token for a name."""
    from chat.server.handlers.signin import hash_token
    from chat.store.accounts import AddDevice
    from chat.store.store import execute

    settings = load(TokenSettings, "chat-server token", arguments)
    secret = secrets.token_urlsafe(32)
    try:
        added = AddDevice(None, settings.name, hash_token(secret), label="")
        execute(settings.store_url, added)
    except (CommandError, StoreUnavailable) as exc:
        raise StartupError(str(exc)) from None
    tell(f"New token for {settings.name}; keep it secret:")
    sys.stdout.write(secret + "\n")
    return 0


def backup(arguments: list[str]) -> int:
    """Copy the database to a file."""
    from chat.store.maintenance.backup import back_up

    settings = load(BackupSettings, "chat-server backup", arguments)
    holdings = back_up(settings.store_url, _absolute(settings.file))
    size = _absolute(settings.file).stat().st_size
    tell(
        f"{settings.file}: {holdings}, {size:,} bytes. Messages deleted later remain in this backup"
    )
    return 0


def restore(arguments: list[str]) -> int:
    """Replace the database with a backup."""
    from chat.store.maintenance.backup import restore as put_back

    settings = load(RestoreSettings, "chat-server restore", arguments)
    restored = put_back(settings.store_url, _absolute(settings.file))
    tell(f"{settings.database}: {restored.holdings}, from {settings.file}")
    if restored.former is not None:
        tell(f"The old database is kept as {restored.former}")
    return 0


def check(arguments: list[str]) -> int:
    """Check every log; print a line for each problem."""
    from chat.store.maintenance.check import Holdings, check_database

    settings = load(CheckSettings, "chat-server check", arguments)
    found = 0
    for line in check_database(settings.store_url):
        if isinstance(line, Holdings):
            verdict = counted(found, "problem") if found else "no problems"
            tell(f"{settings.database}: {line}; {verdict}")
        else:
            found += 1
            sys.stdout.write(printable_line(line) + "\n")
    return 1 if found else 0


def reindex(arguments: list[str]) -> int:
    """Rebuild the full-text index."""
    from chat.store.maintenance.check import reindex as rebuild_index

    settings = load(ReindexSettings, "chat-server reindex", arguments)
    holdings = rebuild_index(settings.store_url)
    tell(f"{settings.database}: {holdings}; rebuilt the full-text index")
    return 0


def _absolute(file: Path) -> Path:
    return file.expanduser().absolute()
