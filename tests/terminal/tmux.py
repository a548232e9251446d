"""A real terminal for tests: tmux on its own socket, with keys as input and a screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sysconfig
import termios
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from tests.serving import PATIENCE, eventually

__all__ = ["Terminal"]


class Terminal:
    """One program in a tmux window.

    Args:
        home: folder for everything the program stores.
        columns: width in cells.
        rows: height in cells.
        extended_keys: whether keys such as Shift+Enter, which old terminals do not send, arrive.
    """

    def __init__(
        self, home: Path, columns: int = 80, rows: int = 24, *, extended_keys: bool = False
    ) -> None:
        if shutil.which("tmux") is None:
            if os.environ.get("CHAT_REQUIRE_INTEROP"):
                pytest.fail("tmux is not installed")
            pytest.skip("tmux is not installed")
        self.home = home
        self.columns, self.rows = columns, rows
        self._extended_keys = "always" if extended_keys else "off"
        self._socket = f"chat-test-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        panes = self._tmux("list-panes", "-a", "-F", "#{pane_pid}", check=False).split()
        with ExitStack() as stack:
            programs = [stack.enter_context(_watched(int(pid))) for pid in panes]
            self._tmux("kill-server", check=False)
            assert all(has_ended() for has_ended in programs), "its program ends with its terminal"

    def run(self, *command: str) -> None:
        """Start `command` in a new window; the first word may name an installed script."""
        scripts = sysconfig.get_path("scripts")
        places = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        environment = [f"-e{name}={self.home}" for name in places]
        self._tmux(
            *("-f/dev/null", "start-server", ";"),
            *("set-option", "-s", "extended-keys", self._extended_keys, ";"),
            *("new-session", "-d", "-x", str(self.columns), "-y", str(self.rows)),
            *environment,
            "-eCOLORTERM=truecolor",
            *(shutil.which(command[0], path=scripts) or command[0], *command[1:]),
        )
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    @property
    def has_ended(self) -> bool:
        """Whether the program has ended."""
        return self._tmux("display-message", "-p", "#{pane_dead}").strip() == "1"

    @property
    def pid(self) -> int:
        """The program's process id."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    @property
    def cursor(self) -> tuple[int, int]:
        """The cursor's position: column and row, from 0."""
        column, row = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(column), int(row)

    def keys(self, *keys: str) -> None:
        """Press keys, in tmux's names: `Enter`, `C-j`, `M-Enter`, …"""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type `text` literally."""
        self._tmux("send-keys", "-l", text)

    @contextmanager
    def attached(self) -> Iterator[Callable[[bytes], None]]:
        """Attach another terminal to the window; return a function that sends bytes of keys."""
        outer, inner = pty.openpty()
        size = struct.pack("HHHH", self.rows, self.columns, 0, 0)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, size)
        client = subprocess.Popen(
            ["tmux", "-L", self._socket, "attach"],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(inner)
        drawing = threading.Thread(target=_read_to_the_end, args=(outer,), daemon=True)
        drawing.start()
        try:
            eventually(lambda: bool(self._tmux("list-clients")), "the other terminal is attached")
            yield lambda data: _write_all(outer, data)
        finally:
            client.kill()
            client.wait()
            drawing.join()
            os.close(outer)

    def paste(self, text: str) -> None:
        """Paste `text` as a terminal does: bracketed, if the program asked for that."""
        subprocess.run(
            ["tmux", "-L", self._socket, "load-buffer", "-"], input=text, text=True, check=True
        )
        self._tmux("paste-buffer", "-p", "-d")

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """Return the text of the screen."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Wait until `text` is on the screen `times` times; return the screen."""
        try:
            eventually(lambda: self.screen().count(text) >= times, f"{text!r} on the screen")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.screen()}") from None
        return self.screen()

    def wait_until_gone(self, text: str) -> None:
        """Wait until `text` is no longer on the screen."""
        try:
            eventually(lambda: text not in self.screen(), f"{text!r} gone from the screen")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.screen()}") from None

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        # Programs would prefer these two to the size of the window.
        mine = {name: it for name, it in os.environ.items() if name not in ("COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-L", self._socket, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=mine,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


@contextmanager
def _watched(pid: int) -> Iterator[Callable[[], bool]]:
    """Return a function that waits for the end of a process, which may be no child of ours."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda: True
        return
    try:
        yield lambda: bool(select.select([process], [], [], PATIENCE)[0])
    finally:
        os.close(process)


def _read_to_the_end(terminal: int) -> None:
    with suppress(OSError):  # the end of a pseudo-terminal
        while os.read(terminal, 65_536):
            pass


def _write_all(terminal: int, data: bytes) -> None:
    while data:
        data = data[os.write(terminal, data) :]
