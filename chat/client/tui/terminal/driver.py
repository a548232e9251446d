"""The Unix terminal driver: Textual's, with another input parser and a window title.

Differences from Textual's driver, besides `input_parser`:

- Invalid UTF-8 becomes a replacement character instead of a traceback.
- A closed terminal, SIGTERM, SIGHUP and SIGINT shut the program down in order.
- After SIGTSTP or SIGSTOP, the program takes the terminal back once it is in the foreground, and
  repaints the screen.
- The size comes from the terminal; `COLUMNS` and `LINES` in the environment may be outdated.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.messages import ExitApp

from chat.client.tui.terminal.input_parser import InputParser
from chat.client.tui.terminal.output import anchored
from chat.client.tui.terminal.pointer import Flooding, Pointer
from chat.text import printable_line

__all__ = ["Terminal"]

_PUSH_TITLE, _POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_TITLE_MAX = 120
_WRAP, _NO_WRAP = "\x1b[?7h", "\x1b[?7l"
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
_MOMENT = 0.1
"""Seconds of silence after which an ESC is the Escape key."""
_SETTLING = 0.02
"""Seconds of silence after which a paste is over; shorter than the time between two keys."""


class _Output:
    """The terminal's output; data written after the terminal is gone is discarded.

    Without it, the error would end Textual's writer thread, and the app would wait for it forever.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write `text`; ignore errors."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Flush written text; ignore errors."""
        with suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._file.fileno()


class Terminal(LinuxDriver):
    """Textual's driver for Linux and macOS, with a different input loop; see the module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        assert sys.__stderr__ is not None
        # Textual declares a TextIO but calls only `write`, `flush` and `fileno`, which this has.
        self._file = _Output(sys.__stderr__)  # type: ignore[assignment]
        self._is_taken = False
        self._title = ""
        self._size = self._size or self._get_terminal_size()

    def start_application_mode(self) -> None:
        """Take over the terminal; save the window's title to restore it at the end."""
        self._is_taken = True
        loop = asyncio.get_running_loop()  # may raise: before the terminal is changed
        for how in _ENDINGS:
            signal.signal(how, self._end)
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        loop.add_signal_handler(signal.SIGCONT, self._go_on)
        signal.signal(signal.SIGINT, self._interrupt)
        # The method has no annotations in Textual; it takes and returns nothing.
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.write(_PUSH_TITLE)
        self.set_title(self._title)

    def stop_application_mode(self) -> None:
        """Restore the terminal, the window title and the default job control."""
        self._is_taken = False
        for how in (signal.SIGTSTP, signal.SIGCONT):
            self._loop.remove_signal_handler(how)
        self.write(_POP_TITLE)
        super().stop_application_mode()

    def suspend_application_mode(self) -> None:
        """Release the terminal temporarily; SIGTERM and SIGHUP still shut the program down."""
        super().suspend_application_mode()
        for how in _ENDINGS:
            signal.signal(how, self._end)

    def close(self) -> None:
        """Close the driver; ignore further signals while typed text is saved."""
        for how in _ENDINGS:
            signal.signal(how, signal.SIG_IGN)
        super().close()

    def write(self, data: str) -> None:
        """Write to the terminal; characters of uncertain width do not shift others."""
        super().write(anchored(data))

    def send_message(self, message: Message) -> None:
        """Send an input event to the app; mouse moves and wheel turns are merged first."""
        pointer = getattr(self._app, "pointer", None)
        if isinstance(message, Flooding) and isinstance(pointer, Pointer):
            pointer.take(message)
        else:
            super().send_message(message)

    def begin_bare(self, lines: Sequence[str]) -> None:
        """Show only `lines`, already sanitized, and leave the mouse to the terminal."""
        self._disable_mouse_support()
        self.write(_WRAP + "\x1b[0m\x1b[H\x1b[J" + "\r\n".join(lines))

    def end_bare(self) -> None:
        """Enable the mouse again, before the app repaints the screen."""
        self.write(_NO_WRAP)
        self._enable_mouse_support()

    def _stop(self) -> None:
        """Release the terminal, stop the process, and resume after SIGCONT.

        Runs between two steps of the event loop. Textual's handler can interrupt the main thread
        anywhere, even while it holds the lock of the output queue.
        """
        self.suspend_application_mode()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._return()

    def _go_on(self) -> None:
        """Take the terminal back; a shell may have used it while this process was stopped."""
        self._wait_for_foreground()
        self.suspend_application_mode()  # or two threads would read the input
        self._return()

    def _return(self) -> None:
        self._wait_for_foreground()
        self.resume_application_mode()
        self._app.post_message(self.SignalResume())

    def _wait_for_foreground(self) -> None:
        """Stop again while another job owns the terminal, as after `bg`."""
        with suppress(OSError):  # the terminal is gone, or not the controlling one
            while os.tcgetpgrp(self.fileno) != os.getpgrp():
                os.kill(os.getpid(), signal.SIGSTOP)

    def _end(self, *_: object) -> None:
        self.process_message(ExitApp())

    def _interrupt(self, *_: object) -> None:
        """Exit, unless an editor has the terminal and Ctrl+C was meant for it."""
        if self._is_taken:
            self.process_message(ExitApp())

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal, or of the environment if it has none."""
        with suppress(OSError):
            columns, rows = os.get_terminal_size(self.fileno)
            if columns and rows:
                return columns, rows
        return super()._get_terminal_size()

    def set_title(self, title: str) -> None:
        """Set the window's title."""
        self._title = title
        self.write(f"\x1b]2;{printable_line(title)[:_TITLE_MAX]}\x07")

    def run_input_thread(self) -> None:
        """Read input until the program ends or the terminal is gone."""
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
        """Return the available input; empty if the terminal is gone."""
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""
