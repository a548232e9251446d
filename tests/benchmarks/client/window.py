"""A `chat-client` on a pseudo-terminal, and the times and sizes to measure from outside."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.processes import installed
from tests.terminal.raw import RawTerminal

__all__ = ["Window", "prefer"]


def prefer(pid: int) -> None:
    """Give a process's session this one's priority: Linux schedules sessions, then processes."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


class Window:
    """One client in its own window."""

    def __init__(self, home: Path, url: str, columns: int = 120, rows: int = 40) -> None:
        self.began = time.perf_counter()
        self._terminal = RawTerminal(
            home,
            *(installed("chat-client"), "--name", "alice", "--url", url, "--data", str(home)),
            columns=columns,
            rows=rows,
            start=subprocess.Popen,
        )
        prefer(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._terminal.close()

    @property
    def pid(self) -> int:
        """The client's process."""
        return self._terminal.process.pid

    def shows(self, text: str) -> float:
        """Wait until `text` is painted after the last key; return the seconds since the key."""
        wanted = text.encode()
        self._terminal.wait(lambda: wanted in self._terminal.output, f"painting {text!r}")
        return time.perf_counter() - self.began

    def showed(self, text: str, within: float) -> bool:
        """Whether `text` is painted within so many seconds."""
        deadline = time.monotonic() + within
        self._terminal.wait(
            lambda: text.encode() in self._terminal.output or time.monotonic() > deadline, text
        )
        return text.encode() in self._terminal.output

    def press(self, keys: str, *, keep: int = 0) -> None:
        """Press keys; only later output, and the last `keep` bytes before, count as painted."""
        del self._terminal.output[: -keep or None]
        self.began = time.perf_counter()
        self._terminal.send(keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window; only later output counts as painted."""
        self._terminal.output.clear()
        self.began = time.perf_counter()
        self._terminal.resize(columns, rows)

    def megabytes(self) -> float:
        """Return the memory of the client."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024

    def pause(self, seconds: float) -> None:
        """Read the output for a while."""
        deadline = time.monotonic() + seconds
        self._terminal.wait(lambda: time.monotonic() > deadline, "the time passes")

    def cpu_seconds(self) -> float:
        """Return the processor time of the client so far."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def ends(self) -> None:
        """Wait until the client has ended."""
        self._terminal.wait(lambda: self._terminal.process.poll() is not None, "the end")
