"""One server per database: a lock beside the file, held while the store is open.

The operating system drops it with the process, however that ends. `chat-server token` does not take
it: it shares the database with a running server through SQLite's own locks. Who holds it may leave
a note in its file for the next.

A database may have names in several folders (hard links), each with a lock beside it; SQLite's log,
too, goes by the name, so two servers would destroy it. Where the system can (Linux), the database
file itself is locked as well.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from chat.errors import StartupError
from chat.store import files

__all__ = ["FileLock"]

_NOTE_MAX = 1_000
"""Bytes of a note."""


class FileLock:
    """A lock that one process holds, on `<database>.lock`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._guard: int | None = None

    @classmethod
    def take(cls, database: Path) -> Self:
        """Take the lock, or say who has it.

        Raises:
            StartupError: another running server uses the database, or the lock cannot be made.
        """
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = files.open_or_create(path)
        except OSError as exc:
            raise StartupError(f"{path}: {exc.strerror or exc}") from None
        lock = cls(descriptor)
        try:
            _lock(descriptor)
            lock.guard(database)
        except OSError:
            lock.release()
            raise _in_use(database) from None
        except StartupError:
            lock.release()
            raise
        return lock

    def guard(self, database: Path) -> None:
        """Lock the database file itself, if it is there; it may have another name elsewhere.

        Raises:
            StartupError: another running server uses it, or it cannot be opened.
        """
        if self._guard is not None or not database.exists():
            return
        try:
            self._guard = os.open(database, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except OSError as exc:
            raise StartupError(f"{database}: {exc.strerror or exc}") from None
        try:
            _lock_whole(self._guard)
        except OSError:
            raise _in_use(database) from None

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
        for held in (self._guard, self._descriptor):
            if held is not None:
                os.close(held)
        self._guard = self._descriptor = None


def _in_use(database: Path) -> StartupError:
    return StartupError(
        f"{database} is in use by another running chat-server; stop it, or give another folder"
    )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


if sys.platform == "linux":
    FAR = 1 << 62
    """Where the byte lies that is locked: SQLite locks bytes from 1 << 30 on."""

    def _lock_whole(descriptor: int) -> None:
        # Of the open file description: SQLite's own locks, which belong to the process, are another
        # matter (fcntl(2)). A file system without such locks has no second chat-server either.
        flock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, FAR, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.EACCES):
                raise

else:

    def _lock_whole(descriptor: int) -> None:
        del descriptor
