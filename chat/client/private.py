"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path

from chat.errors import StartupError

__all__ = ["file_name", "make_private_directory", "write_private"]

_PLAIN = re.compile(r"[a-z0-9_\-]{1,64}")


def make_private_directory(path: Path) -> Path:
    """Make `path`, and what is missing above it, for the owner alone; return it.

    A directory that exists keeps its mode: the person may have chosen it for a reason.

    Raises:
        StartupError: it cannot be made.
    """
    try:
        for missing in reversed([path, *path.parents]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise StartupError(
            f"cannot keep data in {path}: {exc.strerror or exc}; choose another place with --data"
        ) from exc
    return path


def write_private(path: Path, content: str) -> None:
    """Replace the file `path`; after a crash it is the old one or the new one, never a part.

    Raises:
        OSError: nothing was changed.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_name(value: str) -> str:
    """Return a file name for `value`, which may come from a server: its own, or a digest of it."""
    return value if _PLAIN.fullmatch(value) else "x" + sha256(value.encode()).hexdigest()[:40]
