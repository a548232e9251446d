"""The client's log file. Nothing is ever logged to the terminal."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TextIO

from chat.client.config.settings import ClientSettings
from chat.client.storage.private_files import open_private
from chat.errors import StartupError
from chat.text import printable

__all__ = ["start_log"]


class _Printable(logging.Formatter):
    """Removes control characters, so that reading the log in a terminal is safe."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _open_log(path: Path) -> TextIO:
    """Open the log for appending; a device such as `/dev/stderr` is opened directly."""
    if path.exists() and not path.is_file():
        return path.open("a", encoding="utf-8")
    handle = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return os.fdopen(handle, "a", encoding="utf-8")


def start_log(settings: ClientSettings) -> None:
    """Start logging to the configured file, or discard the log if there is none.

    Raises:
        StartupError: the file cannot be written.
    """
    handler: logging.Handler = logging.NullHandler()
    if settings.log_file is not None:
        try:
            handler = logging.StreamHandler(_open_log(settings.log_file))
        except OSError as exc:
            raise StartupError(
                f"cannot write the log {settings.log_file}: {exc.strerror or exc}"
            ) from exc
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("chat").setLevel(settings.log_level.upper())
