"""Start the demo's server process beside the client and stop it again.

The process ends, with the server and all files, when its standard input is closed: this also
works if the client is killed with `kill -9`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chat.client.config.settings import ClientSettings
from chat.errors import StartupError

__all__ = ["demo"]

_CLEAN_UP_WITHIN = 10.0


@contextmanager
def demo(settings: ClientSettings) -> Iterator[ClientSettings]:
    """Run a demo server; yield settings for a client of it.

    Raises:
        StartupError: the server does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="chat-demo-"))
    process = _start(folder)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise StartupError("the demo server did not start; is chat-server installed?")
        yield settings.but(url=url, servers=(), data=folder / "you", name=settings.name or "you")
    finally:
        process.communicate(timeout=_CLEAN_UP_WITHIN)
        shutil.rmtree(folder, ignore_errors=True)  # files written after the process cleaned up


def _start(folder: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
    try:
        # No shell and no outside input: this interpreter, our own module, a folder we created.
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "chat.client.demo.server", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "XDG_CONFIG_HOME": str(folder)},
            text=True,
            start_new_session=True,  # Ctrl+C in the terminal is for the client only
        )
    except OSError as exc:
        with suppress(OSError):
            folder.rmdir()
        raise StartupError(f"the demo cannot start: {exc}") from exc
