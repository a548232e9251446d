"""`chat-server check-config`: find what would stop the server, before it is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from chat.errors import StartupError
from chat.program import tell
from chat.server.config.commands import CheckConfigSettings
from chat.server.config.settings import toml_lines
from chat.server.config.sources import config_file
from chat.server.transport.tls import expiry, tls_settings
from chat.text import counted

__all__ = ["check_config"]

EXPIRED = 1
"""Exit code if the server would start, and clients would refuse its certificate."""
UNUSABLE = 2
"""Exit code if the server would not start."""


def check_config(settings: CheckConfigSettings) -> int:
    """Print all settings as a `server.toml`, and the problems; return the exit code."""
    sys.stdout.write("".join(f"{line}\n" for line in toml_lines(settings)))
    sys.stdout.flush()
    code = warnings = 0
    for problem_code, text in (*_certificate(settings), *_data(settings)):
        tell(f"chat-server: {'warning: ' if not problem_code else ''}{text}")
        code = max(code, problem_code)
        warnings += not problem_code
    if not code:
        file = settings.config or config_file()
        source = str(file) if file.exists() else f"there is no {file}"
        tell(f"{source}: {counted(warnings, 'warning') if warnings else 'no problems'}")
    return code


def _certificate(settings: CheckConfigSettings) -> Iterator[tuple[int, str]]:
    """Return the problems of the certificate, each with its exit code; 0 is a warning."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None or key is None:
        return
    try:
        tls_settings(certificate, key)
    except StartupError as exc:
        yield UNUSABLE, str(exc)
        return
    if (end := expiry(certificate)) is not None:
        yield (EXPIRED if end.has_expired else 0), end.warning


def _data(settings: CheckConfigSettings) -> Iterator[tuple[int, str]]:
    """Return the problems of the data folder; it may be missing if it can be created."""
    folder, database = settings.data.absolute(), settings.database
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir():
        yield UNUSABLE, f"the data folder {folder} cannot be used: {existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield (
            UNUSABLE,
            f"the data folder {folder} cannot be used: no permission to write {existing}",
        )
    elif database.exists() and not os.access(database, os.R_OK | os.W_OK):
        yield UNUSABLE, f"no permission to read and write the database {database}"
