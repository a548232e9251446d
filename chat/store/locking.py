"""One server per database: a lock beside the file, held while the store is open.

The operating system drops it with the process, however that ends. `chat-server token` does not take
it: it shares the database with a running server through SQLite's own locks.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

from chat.errors import StartupError

__all__ = ["FileLock"]


class FileLock:
    """A lock that one process holds, on `<database>.lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> Self:
        """Take the lock, or say who has it.

        Raises:
            StartupError: another running server uses the database.
        """
        path = database.with_name(database.name + ".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise StartupError(
                f"{database} is in use by another running chat-server; stop it, or give another"
                " folder"
            ) from None
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it; idempotent. The file stays: removing it would race with them."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
