"""Files and folders that only their owner may use.

None is made, or written to, through a symbolic link: in a folder that others can write to, such a
link would lead to a file of their choice. What an administrator makes (`sudo chat-server restore`)
belongs to the owner of the folder it is in, as the server's own files do.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

__all__ = [
    "create",
    "make_folder",
    "open_or_create",
    "take_after",
    "tighten",
    "warn_of_folder",
]

log = logging.getLogger(__name__)

OWNER_ONLY = 0o600
OTHERS = stat.S_IRWXO
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def make_folder(path: Path) -> None:
    """Make a folder, and what is missing above it, for the owner only.

    Raises:
        OSError: it cannot be made.
    """
    for missing in reversed([path, *path.parents]):
        if not missing.is_dir():
            with suppress(FileExistsError):  # somebody else made it meanwhile
                missing.mkdir(mode=0o700)
                _give(missing, missing.parent.stat())
    if not path.is_dir():
        raise OSError("it is not a folder")


def create(path: Path) -> int:
    """Create a file that does not exist yet; return its descriptor.

    Raises:
        OSError: something of this name exists, or it cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, OWNER_ONLY)
    _give(path, path.parent.stat())
    return descriptor


def open_or_create(path: Path) -> int:
    """Open an ordinary file for reading and writing, or create it; return its descriptor.

    Raises:
        OSError: it is no ordinary file, has several names, or cannot be opened.
    """
    try:
        return create(path)
    except FileExistsError:
        pass
    if path.is_symlink():
        raise OSError("it is a symbolic link; remove it")
    descriptor = os.open(path, os.O_RDWR | _SAFELY)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise OSError("it is not a file of its own; remove it")
    return descriptor


def take_after(path: Path, model: Path) -> None:
    """Give a file the owner and the mode of another one.

    Raises:
        OSError: this process may not.
    """
    found = model.stat()
    _give(path, found)
    path.chmod(stat.S_IMODE(found.st_mode))


def tighten(path: Path) -> None:
    """Take a file from everybody else, if it was readable or writable by all; say so in the log."""
    if not _is_open_to_all(path):
        return
    try:
        path.chmod(OWNER_ONLY)
    except OSError:
        log.warning("%s can be read by everybody on this machine: chmod 600 it", path)
    else:
        log.warning("%s could be read by everybody on this machine; now only by its owner", path)


def warn_of_folder(path: Path) -> None:
    """Say so in the log if everybody on this machine may replace what is in a folder."""
    mode = path.stat().st_mode
    if sys.platform != "win32" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        log.warning("%s can be changed by everybody on this machine: chmod o-w it", path)


def _is_open_to_all(path: Path) -> bool:
    """Whether everybody on this machine may use an ordinary file."""
    if sys.platform == "win32":
        return False
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & OTHERS)


def _give(path: Path, model: os.stat_result) -> None:
    """Let what an administrator made belong to the owner of `model`.

    Within containers, and on some network file systems, root may not give files away.
    """
    if sys.platform != "win32" and os.geteuid() == 0 != model.st_uid:
        try:
            os.chown(path, model.st_uid, model.st_gid, follow_symlinks=False)
        except OSError as exc:
            log.warning("%s belongs to root: it cannot be given away: %s", path, exc.strerror)
