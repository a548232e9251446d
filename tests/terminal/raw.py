"""A program on a pseudo-terminal, byte by byte: its output, and the control characters in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import tty
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.processes import Process
from tests.serving import PATIENCE

__all__ = ["RawTerminal", "plain"]

# All sequences that the client creates itself; all others come from outside.
_OWN = re.compile(
    r" {1,2}\x1b\[\d+G|"  # blanks under characters of uncertain width
    r"\x1b\[(?:"
    r"[\d;]*m|\d*;?\d*H|\d+G|"  # colors, the cursor's position
    r"\?(?:7|25|1000|1003|1004|1006|1015|1016|1049|2004|2026|2048)[hl]|"  # modes
    r"\?(?:2026|2048)\$p|>\d+u|<u|2[23];2t)"  # queries of modes, kitty's keys, titles
    r"|\x1b\]8;(?:id=[\d-]+;(?:https?://|mailto:)[\x21-\x7e]+|;)\x1b\\"  # links
    r"|\x1b\]22;[a-z-]+\x07"  # the pointer's shape
    r"|\x1b\]2;[^\x00-\x1f\x7f-\x9f]{0,140}\x07"  # the title
    r"|\x1b\](?:9|777;notify;[^;\x00-\x1f\x7f-\x9f]{0,80});"  # notifications
    r"[^;\x00-\x1f\x7f-\x9f]{0,242}\x07"
    r"|[\r\n]"
)
# All terminals draw these, though Unicode classes them as formats: signs around Arabic numbers.
_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u08e2\u200c\u200d"
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plain(output: bytes | bytearray) -> str:
    """Return the text of a program's output; fail if it contains sequences other than its own."""
    text = _OWN.sub("", output.decode())
    for char in set(text) - set(_SIGNS):
        if unicodedata.category(char) in _UNSEEN:
            around = text[max(0, text.index(char) - 40) : text.index(char) + 40]
            raise AssertionError(f"U+{ord(char):04X} reached the terminal: {around!r}")
    for title in re.findall(r"\x1b\](?:2|9|777);([^\x07]*)\x07", output.decode()):
        plain(title.encode())
    return text


class RawTerminal:
    """A program on its own pseudo-terminal, the leader of a session as in a window.

    Args:
        home: folder for everything the program stores.
        command: `chat-client` and its arguments.
        typed: input that is waiting before the program starts.
        start: starts a command; `subprocess.Popen` starts the installed one.
    """

    def __init__(
        self,
        home: Path,
        *command: str,
        columns: int = 80,
        rows: int = 24,
        typed: bytes = b"",
        variables: Mapping[str, str] | None = None,
        start: Callable[..., Process | subprocess.Popen[bytes]] = Process,
    ) -> None:
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        if typed:
            tty.setraw(slave)  # otherwise the kernel handles some keys itself
            os.write(self._master, typed)
        places = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = start(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={
                **inherited,
                "TERM": "xterm-256color",
                **dict.fromkeys(places, str(home)),
                **(variables or {}),
            },
            start_new_session=True,
        )
        os.close(slave)
        self.output = bytearray()

    def resize(self, columns: int, rows: int) -> None:
        """Resize the terminal, and notify the program."""
        self._set_size(columns, rows)
        self.process.send_signal(signal.SIGWINCH)  # by the kernel only for a controlling terminal

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data: bytes) -> None:
        """Type bytes; read the output meanwhile, as a terminal does."""
        while data:
            _, writable, _ = select.select([], [self._master], [], 0.05)
            if writable:
                data = data[os.write(self._master, data[:512]) :]
            self._read(0)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Read until `condition` holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.output[-2000:]!r}"
            self._read(0.05)

    def wait_until_quiet(self) -> None:
        """Read until the program pauses its output: its frame is complete."""
        deadline = time.monotonic() + PATIENCE
        while select.select([self._master], [], [], 0.3)[0]:
            assert time.monotonic() < deadline, "the program keeps writing"
            self._read(0)

    def line_modes(self) -> int:
        """Return the terminal's local modes, such as `termios.ECHO`."""
        modes: int = termios.tcgetattr(self._master)[3]
        return modes

    def hears(self, number: signal.Signals) -> bool:
        """Send a signal to the program; return whether it has ended."""
        self.process.send_signal(number)
        return self.process.poll() is not None

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """Kill the program."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master >= 0:
            self.hang_up()

    def _read(self, patience: float) -> None:
        if select.select([self._master], [], [], patience)[0]:
            try:
                self.output += os.read(self._master, 65_536)
            except OSError:  # the other side is gone
                time.sleep(0.05)
