"""`chat-client` as a separate process, on real pipes."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from tests.processes import Process, installed, run
from tests.serving import PATIENCE, eventually


class Piped:
    """A running `chat-client`; its output is collected in `lines`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str, patience: float = PATIENCE) -> None:
        """Wait for a line that holds `text`, up to `patience` seconds."""
        eventually(
            lambda: any(text in line for line in tuple(self.lines)) or not self._reader.is_alive(),
            f"{text!r} in {self.lines}",
            patience=patience,
        )
        assert any(text in line for line in self.lines), f"{text!r} in {self.lines}"

    def end(self, signal: int) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(signal)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line.removesuffix("\n"))


class Client:
    """Runs `chat-client` commands of one name with a shared data folder."""

    def __init__(self, home: Path, url: str, name: str = "bot") -> None:
        self.home = home
        self.data = home / f"data-{name}"
        self.flags: tuple[str, ...] = ("--name", name, "--url", url, "--data", str(self.data))
        self.variables: dict[str, str] = {}
        self.running: list[Process] = []

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = ("chat-client", *arguments, *self.flags)
        return run(command, stdin=stdin, env=self.environment(), timeout=3 * PATIENCE)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> Piped:
        """Start a command."""
        command = ("chat-client", *arguments, *self.flags)
        process = Process(command, stdin=stdin, env=self.environment())
        self.running.append(process)
        return Piped(process)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the installed `chat-client`."""
        return [installed("chat-client"), *arguments, *self.flags]

    def environment(self) -> dict[str, str]:
        """Return an environment without this machine's settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
        paths = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(self.home))
        return {**inherited, **paths, "PYTHONWARNINGS": "error", "TZ": "UTC", **self.variables}
