"""Files that only their owner can read, written atomically."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from chat.errors import StartupError

__all__ = ["file_name", "make_private_directory", "open_private", "write_first", "write_private"]

_PLAIN = re.compile(r"[a-z0-9_\-]{1,64}")


def make_private_directory(path: Path) -> Path:
    """Create `path` and its missing parents for the owner only; return it.

    The mode of an existing directory is not changed: the user may have chosen it.

    Raises:
        StartupError: it cannot be created or entered.
    """
    try:
        for missing in reversed([path, *path.parents]):
            missing.mkdir(mode=0o700, exist_ok=True)
        path.joinpath("file").exists()  # fails if this user may not enter the folder
    except OSError as exc:
        raise StartupError(
            f"cannot use the data folder {path}: {exc.strerror or exc}; choose another with --data"
        ) from exc
    return path


def open_private(path: Path, flags: int) -> int:
    """Open a regular file, as `os.open` does; a missing file is created for the owner only.

    Symbolic links are not followed. The permissions of others on the owner's file are removed.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    safely = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | safely | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as exc:
        if path.is_symlink():
            raise OSError(exc.errno, "it is a symbolic link; remove it", str(path)) from exc
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if os.name == "posix" and found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.fchmod(handle, 0o600)
    return handle


def write_private(path: Path, content: str) -> None:
    """Replace the file `path` atomically: after a crash it is either the old or the new one.

    Raises:
        OSError: nothing was changed.
    """
    with _written_beside(path, content) as temporary:
        temporary.replace(path)
    _sync_directory(path.parent)


def write_first(path: Path, content: str) -> bool:
    """Write the file `path` if it does not exist; return whether it was written.

    Raises:
        OSError: nothing was changed.
    """
    with _written_beside(path, content) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: not atomic there
            if path.exists():
                return False
            temporary.replace(path)
    _sync_directory(path.parent)
    return True


@contextmanager
def _written_beside(path: Path, content: str) -> Iterator[Path]:
    """Write a temporary file next to `path`, synced to disk; it is deleted afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    """Sync a directory, so that a new name survives a power failure, where the system can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_name(value: str) -> str:
    """Return a safe file name for `value`, which may come from a server: itself or a digest."""
    return value if _PLAIN.fullmatch(value) else "x" + sha256(value.encode()).hexdigest()[:40]
