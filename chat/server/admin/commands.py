"""The operator's commands: run one by its name, and those for the whole database.

Results go to standard output, messages to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chat.durations import parse_duration
from chat.errors import CommandError, StartupError, StoreUnavailable
from chat.program import tell
from chat.server.admin import accounts
from chat.server.admin.check_config import check_config
from chat.server.config.commands import (
    COMMANDS,
    BackupSettings,
    CheckSettings,
    ExpireSettings,
    MigrateStoreSettings,
    NewEpochsSettings,
    ReindexSettings,
    RestoreSettings,
)
from chat.server.config.sources import config_file, load
from chat.store.accounts import RecordAct
from chat.store.backend import NoDatabase
from chat.store.store import expire, look
from chat.text import counted, printable_line

__all__ = ["run"]

EXPIRE_PATIENCE = 30.0
"""Seconds that `expire` waits for the running server."""
REFUSED = 1
"""Exit code of a command that is refused, such as for an unknown name."""


def run(name: str, arguments: list[str]) -> int:
    """Run the command `name`; return its exit code."""
    settings = load(COMMANDS[name], f"chat-server {name}", arguments)
    try:
        return _WORK[name](settings)
    except CommandError as exc:
        tell(f"chat-server: {exc}")
        return REFUSED
    except NoDatabase as exc:
        file = config_file()
        source = f"{file} was read" if file.exists() else f"there is no {file}"
        raise StartupError(f"{exc} ({source})") from None
    except StoreUnavailable as exc:
        raise StartupError(str(exc)) from None


def _backup(settings: BackupSettings) -> int:
    """Copy the database to a file."""
    from chat.store.maintenance.backup import back_up

    holdings = back_up(settings.store_url, _absolute(settings.file))
    size = _absolute(settings.file).stat().st_size
    tell(
        f"{settings.file}: {holdings}, {size:,} bytes. Messages deleted later remain in this backup"
    )
    accounts.record_act(settings, RecordAct(None, "backed_up", settings.file.name))
    return 0


def _restore(settings: RestoreSettings) -> int:
    """Replace the database with a backup."""
    from chat.store.maintenance.backup import restore as put_back

    restored = put_back(settings.store_url, _absolute(settings.file))
    tell(f"{settings.store_name}: {restored.holdings}, from {settings.file}")
    if restored.former is not None:
        tell(f"The old database is kept as {restored.former}")
    if restored.undone:
        tell("The backup is older than these actions; repeat them:")
        for line in restored.undone:
            tell(f"  {printable_line(line)}")
    accounts.record_act(settings, RecordAct(None, "restored", settings.file.name))
    return 0


def _check(settings: CheckSettings) -> int:
    """Check every log; print a line for each problem."""
    from chat.store.maintenance.backup import check_backup
    from chat.store.maintenance.check import Holdings, check_database

    found, checked = 0, settings.file or settings.store_name
    lines = (
        check_database(settings.store_url)
        if settings.file is None
        else check_backup(_absolute(settings.file))
    )
    for line in lines:
        if isinstance(line, Holdings):
            verdict = counted(found, "problem") if found else "no problems"
            tell(f"{checked}: {line}; {verdict}")
        else:
            found += 1
            sys.stdout.write(printable_line(line) + "\n")
    return 1 if found else 0


def _reindex(settings: ReindexSettings) -> int:
    """Rebuild the full-text index."""
    from chat.store.maintenance.check import reindex as rebuild_index

    holdings = rebuild_index(settings.store_url)
    tell(f"{settings.store_name}: {holdings}; rebuilt the full-text index")
    return 0


def _migrate_store(settings: MigrateStoreSettings) -> int:
    """Copy the database to another kind of database."""
    from chat.store.maintenance.migrate import migrate_store

    holdings = migrate_store(settings.store_url, settings.destination)
    tell(
        f"{settings.destination_name}: {holdings}, from {settings.store_name}, which is unchanged;"
        " start the server with --store"
    )
    return 0


def _new_epochs(settings: NewEpochsSettings) -> int:
    """Give every channel a new epoch."""
    from chat.store.maintenance.migrate import new_epochs

    count = new_epochs(settings.store_url)
    tell(f"{settings.store_name}: clients load {counted(count, 'channel')} again")
    return 0


def _expire(settings: ExpireSettings) -> int:
    """Erase all messages older than the retention."""
    if not settings.force:
        raise StartupError(
            "a running server erases old messages by itself; --force erases them now, even if they"
            " are more than a tenth of a channel"
        )
    recorded = look(settings.store_url, lambda reader: reader.accounts.settings())
    retention = recorded.get("retention")  # of the server's last start
    seconds = parse_duration(retention) if retention else 0
    if expire(settings.store_url, seconds, EXPIRE_PATIENCE):
        tell("Erased all messages older than the retention")
    else:
        tell("The server is still erasing messages older than the retention")
    return 0


def _absolute(file: Path) -> Path:
    return file.expanduser().absolute()


_WORK: dict[str, Callable[[Any], int]] = {
    **accounts.WORK,
    "backup": _backup,
    "restore": _restore,
    "check": _check,
    "check-config": check_config,
    "reindex": _reindex,
    "expire": _expire,
    "migrate-store": _migrate_store,
    "new-epochs": _new_epochs,
}
