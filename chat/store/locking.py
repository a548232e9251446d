"""One server per database: a lock beside the file, held while the store is open.

The operating system drops it with the process, however that ends. `chat-server token` does not take
it: it shares the database with a running server through SQLite's own locks. Who holds it may leave
a note in its file for the next.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from chat.errors import StartupError

__all__ = ["FileLock"]

_NOTE_MAX = 1_000
"""Bytes of a note."""


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

    def take_note(self) -> str:
        """Return the note that the last holder left, and tear it up; empty: none."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        note = os.read(self._descriptor, _NOTE_MAX)
        os.ftruncate(self._descriptor, 0)
        return note.decode(errors="replace")

    def leave_note(self, note: str) -> None:
        """Leave a note for the next holder, if the lock is still held and the disk takes it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, note.encode())

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
