"""The terminal on Unix: Textual's driver around this program's own parser, and the window's title.

Besides the repairs of `keyboard`, a byte that is not UTF-8 becomes a replacement character instead
of a traceback, a terminal that goes away ends the program, and so do SIGTERM and SIGHUP, tidily.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
from codecs import getincrementaldecoder
from collections.abc import Sequence

from textual.drivers.linux_driver import LinuxDriver
from textual.messages import ExitApp

from chat.client.tui.keyboard import InputParser
from chat.text import printable_line

__all__ = ["Terminal"]

_PUSH_TITLE, _POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_TITLE_MAX = 120
_WRAP, _NO_WRAP = "\x1b[?7h", "\x1b[?7l"
_MOMENT = 0.1
"""Seconds after which a lone ESC is a key."""
_SETTLING = 0.02
"""Seconds of silence after which a paste is over: less than lies between two keys."""


class Terminal(LinuxDriver):
    """Textual's driver for Linux and macOS, with another input loop."""

    def start_application_mode(self) -> None:
        """Take over the terminal; its window's title is put back at the end."""
        super().start_application_mode()  # type: ignore[no-untyped-call]  # it takes nothing
        self.write(_PUSH_TITLE)
        for how in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(how, self.process_message, ExitApp())

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self.write(_POP_TITLE)
        super().stop_application_mode()

    def begin_bare(self, lines: Sequence[str]) -> None:
        """Show harmless lines alone, and leave the mouse to the terminal."""
        self._disable_mouse_support()
        self.write(_WRAP + "\x1b[0m\x1b[H\x1b[J" + "\r\n".join(lines))

    def end_bare(self) -> None:
        """Take the mouse again; what is on the screen is painted over."""
        self.write(_NO_WRAP)
        self._enable_mouse_support()

    def set_title(self, title: str) -> None:
        """Set the window's title."""
        self.write(f"\x1b]2;{printable_line(title)[:_TITLE_MAX]}\x07")

    def run_input_thread(self) -> None:
        """Read keys until the program ends or the terminal is gone."""
        parser = InputParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(_SETTLING if parser.is_settling else _MOMENT):
                    data = self._read()
                    if not data:
                        self.process_message(ExitApp())
                        return
                    if text := decode(data):
                        for message in parser.feed(text):
                            self.process_message(message)
                else:
                    for message in parser.settle():
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)

    def _read(self) -> bytes:
        """Return what was typed; nothing if the terminal is gone."""
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""
