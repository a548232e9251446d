"""A real NATS server for tests: on a free port, killed, stopped and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tests.serving import PATIENCE, free_port

__all__ = ["NatsServer"]


class NatsServer:
    """A `nats-server` process; `start` keeps its port.

    Args:
        flags: more command-line flags.
    """

    def __init__(self, *flags: str) -> None:
        self.port = free_port()
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> Self:
        """Start, and return once it accepts connections."""
        program = _program()
        self._process = subprocess.Popen(
            [program, "-a", "127.0.0.1", "-p", str(self.port), *self._flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "nats-server has ended"
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return self
            time.sleep(0.02)
        raise AssertionError("nats-server does not accept connections")

    def kill(self) -> None:
        """Kill the process, if it runs."""
        if self._process is not None:
            self._process.kill()  # also ends a stopped process
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Stop the process (SIGSTOP): its connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a stopped process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        pytest.skip("nats-server is not installed (in the extra `dev`)")
    return found
