"""Runs a program as an unprivileged user who can write to one folder only.

That is what the systemd unit and the container do. Both services are missing where tests run, so
`unshare` and `setpriv` do the same here.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.interop.outside import find

__all__ = ["NOBODY", "sandboxed"]

NOBODY = 65534


def sandboxed(command: list[str], writable: Path, user: int = NOBODY) -> list[str]:
    """Return a command line that runs `command` as `user`, on a read-only disk except `writable`.

    It keeps its process id: each step replaces the one before. `writable` is given to the user.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    tools = [find("unshare"), find("setpriv")]
    os.chown(writable, user, user)
    folder = shlex.quote(str(writable))
    mounts = " && ".join(
        (
            "mount --make-rprivate /",
            f"mount --bind {folder} {folder}",
            "mount -o remount,ro,bind /",
        )
    )
    drop = [tools[1], f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
    # It may read everything: Python may be installed in a folder that only root can enter.
    drop += [
        f"--{which}=-all,+dac_read_search" for which in ("bounding-set", "inh-caps", "ambient-caps")
    ]
    enter = [tools[0], "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *drop]
    tried = subprocess.run([*enter, "true"], capture_output=True, encoding="utf-8", check=False)
    if tried.returncode:
        pytest.skip(f"cannot make the disk read-only here: {tried.stderr.strip()}")
    return [*enter, *command]
