"""Create files and folders that only their owner can access.

Symbolic links are never followed: in a folder that others can write to, a link could lead to any
file. Files that root creates (`sudo chat-server restore`) get the owner of their folder.
"""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys
from contextlib import suppress
from pathlib import Path

from chat.errors import StartupError

__all__ = [
    "check_is_reachable",
    "create",
    "make_folder",
    "open_or_create",
    "reason_of",
    "take_after",
    "tighten",
    "warn_of_folder",
]

log = logging.getLogger(__name__)

OWNER_ONLY = 0o600
OTHERS = stat.S_IRWXO
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def check_is_reachable(path: Path) -> None:
    """Check that this process may look up `path`, whether or not it exists.

    Raises:
        StartupError: names the folder that this user may not enter.
    """
    try:
        path.lstat()
    except PermissionError as exc:
        folder = next(each for each in path.parents if os.path.lexists(each))
        raise StartupError(f"cannot enter {folder}: {reason_of(exc, folder)}") from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as exc:
        raise StartupError(f"cannot use {path}: {exc.strerror or exc}") from None


def reason_of(error: OSError, path: Path) -> str:
    """Return why `path` cannot be used, and which user can use it, if it is another one."""
    if not isinstance(error, PermissionError):
        return error.strerror or str(error)
    return "permission denied" + _owner_advice(path)


def _owner_advice(path: Path) -> str:
    """Return how to run the command as the owner of `path`, or of its nearest folder."""
    if sys.platform == "win32":
        return ""
    import pwd

    nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
    owner = nearest.lstat().st_uid
    if owner in (0, os.geteuid()):
        return ""
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:  # a user of another machine or container
        name = f"#{owner}"
    what = "folder" if nearest.is_dir() else "file"
    return f"; run it as the owner of the {what}: sudo -u {shlex.quote(name)} chat-server …"


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, with access for the owner only.

    Raises:
        OSError: it cannot be created.
    """
    for missing in reversed([path, *path.parents]):
        if not missing.is_dir():
            with suppress(FileExistsError):  # created by another process meanwhile
                missing.mkdir(mode=0o700)
                _give(missing, missing.parent.stat())
    if not path.is_dir():
        raise OSError("it is not a folder")


def create(path: Path) -> int:
    """Create a file that does not exist yet; return its descriptor.

    Raises:
        OSError: the name exists, or the file cannot be created.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, OWNER_ONLY)
    _give(path, path.parent.stat())
    return descriptor


def open_or_create(path: Path) -> int:
    """Open a regular file for reading and writing, or create it; return its descriptor.

    Raises:
        OSError: it is not a regular file, has hard links, or cannot be opened.
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
        raise OSError("it is not a regular file, or it has hard links; remove it")
    return descriptor


def take_after(path: Path, model: Path) -> None:
    """Copy the owner and the mode of `model` to `path`.

    Raises:
        OSError: permission denied.
    """
    found = model.stat()
    _give(path, found)
    path.chmod(stat.S_IMODE(found.st_mode))


def tighten(path: Path) -> None:
    """Restrict a file to its owner if every user has access, and log a warning."""
    if not _is_open_to_all(path):
        return
    try:
        path.chmod(OWNER_ONLY)
    except OSError:
        log.warning("every user of this machine can read %s: run chmod 600", path)
    else:
        log.warning("every user of this machine could read %s; restricted it to its owner", path)


def warn_of_folder(path: Path) -> None:
    """Log a warning if every user of this machine can change a folder."""
    mode = path.stat().st_mode
    if sys.platform != "win32" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        log.warning("every user of this machine can change %s: run chmod o-w", path)


def _is_open_to_all(path: Path) -> bool:
    """Whether every user of this machine has access to a regular file."""
    if sys.platform == "win32":
        return False
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & OTHERS)


def _give(path: Path, model: os.stat_result) -> None:
    """If root runs this, give a file the owner of `model`.

    In containers and on some network file systems, root may not change owners.
    """
    if sys.platform != "win32" and os.geteuid() == 0 != model.st_uid:
        try:
            os.chown(path, model.st_uid, model.st_gid, follow_symlinks=False)
        except OSError as exc:
            log.warning("%s belongs to root: cannot change its owner: %s", path, exc.strerror)
