"""Where lines go, and where they come from: a terminal, or pipes.

Nothing here moves the cursor. On a terminal a line that comes while one types begins a new one,
and what was typed is printed again below it; without a terminal lines just follow each other.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from chat.client.plain.editor import Done, Echo, Editor, Pasted, Submitted, TabPressed
from chat.client.plain.tabbing import tab
from chat.client.presenter import clipboard
from chat.client.presenter.completing import Sources, complete
from chat.client.ringing import BELL
from chat.client.slash import is_command
from chat.client.standard_input import lines_of
from chat.errors import StartupError
from chat.program import tell
from chat.text import is_blank, printable, printable_line

__all__ = ["Lines", "Piped", "Typed"]

_STDIN = 0
_DRAFT_AFTER = 0.5
"""Seconds that a saved draft may be behind what is typed; the file adds a moment of its own."""
_PASTED = "{} pasted. Enter sends this as one message, Ctrl+U discards it."
_MARK_PASTES, _LEAVE_PASTES = "\x1b[?2004h", "\x1b[?2004l"


class Lines:
    """Prints lines; takes none. `submit` and `end` are told what is typed, and that it is over."""

    failure: OSError | None = None
    """Why lines cannot be printed."""
    fault = ""
    """Why not all that was piped in was taken; empty: it was, or there is more."""

    def __init__(self, submit: Callable[[str], None], end: Callable[[], None]) -> None:
        self.prompt = ""
        self.sources: Callable[[], Sources] = Sources
        self.look_up: Callable[[str, Callable[[], None]], bool] = lambda _line, _then: False
        self.drafted: Callable[[str], None] = lambda _: None
        """Saves the text that is typed and not submitted."""
        self.dismissed: Callable[[], None] = lambda: None
        """Cancels what the text is for: an empty line was submitted."""
        self._submit = submit
        self._end = end

    @property
    def text(self) -> str:
        """What is typed and not submitted."""
        return ""

    def load(self, text: str) -> None:
        """Let `text` be what is typed."""

    def say(self, lines: Iterable[str]) -> None:
        """Print whole lines."""
        text = "".join(f"{printable(line)}\n" for line in lines)
        if text and self.failure is None:
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except OSError as exc:  # nobody listens any more, or a disk is full
                self.failure = exc
                self._end()

    def refuse(self, lines: Iterable[str]) -> None:
        """Print why something could not be done."""
        self.say(lines)

    def ring(self) -> None:
        """Call the person, if there is a terminal."""

    def copy(self, text: str) -> bool:
        """Ask the terminal to keep a copy; False: there is none."""
        return False

    def open(self) -> None:
        """Begin to take lines."""

    def stop(self, why: str) -> None:
        """Take no more, if nobody is there who sees why."""

    def close(self) -> None:
        """Leave everything as it was."""


class Piped(Lines):
    """Without a terminal each line of standard input is as if it were typed.

    Args:
        submit: takes a line.
        end: called when there are no more.
        answered: waits until what was asked for before is done: the next command may need it.
    """

    def __init__(
        self,
        submit: Callable[[str], None],
        end: Callable[[], None],
        answered: Callable[[], Awaitable[object]],
    ) -> None:
        super().__init__(submit, end)
        self._answered = answered
        self.has_refused = False
        """Whether something that was asked for could not be done."""
        self._reading: asyncio.Task[None] | None = None

    def refuse(self, lines: Iterable[str]) -> None:
        """Say on standard error why something could not be done: the exit code tells it too."""
        for line in lines:
            self.has_refused = True
            tell(f"chat-client: {printable_line(line)}")

    def open(self) -> None:
        """Begin to take lines."""
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def stop(self, why: str) -> None:
        """Take no more; what was taken comes to its end."""
        self.fault = why
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            self._end()

    def close(self) -> None:
        """Take no more."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            async for line in lines_of(_STDIN):
                if is_command(line):
                    await self._answered()
                self._submit(line)
        except StartupError as exc:
            self.fault = str(exc)
        self._end()


class Typed(Lines):
    """A terminal, key by key: what is typed survives what is said meanwhile."""

    def __init__(self, submit: Callable[[str], None], end: Callable[[], None]) -> None:
        super().__init__(submit, end)
        self._editor = Editor()
        self._saved: list[Any] | None = None
        """The terminal's settings before, as `termios` gives and takes them."""
        self._is_begun = False
        """Whether the prompt stands on the line: only while one types, for lines go on below."""
        self._draft_timer: asyncio.TimerHandle | None = None

    @property
    def text(self) -> str:
        """What is typed and not submitted."""
        return self._editor.text

    def load(self, text: str) -> None:
        """Let `text` be what is typed."""
        if text != self._editor.text:
            self._editor.text = text
            self._begin_again()

    def say(self, lines: Iterable[str]) -> None:
        """Print whole lines above the one that is typed: it is printed again."""
        if told := [printable(line) for line in lines]:
            self._begin_again("".join(f"{line}\n" for line in told))

    def ring(self) -> None:
        """Call the person."""
        self._print(BELL)

    def copy(self, text: str) -> bool:
        """Ask the terminal to keep a copy."""
        self._print(clipboard.sequence(text))
        return True

    def open(self) -> None:
        """Begin to take keys."""
        loop = asyncio.get_running_loop()
        self._take_keys()
        loop.add_reader(_STDIN, self._read)
        loop.add_signal_handler(signal.SIGCONT, self._take_keys)  # the shell had it meanwhile

    def close(self) -> None:
        """Leave the terminal as it was."""
        import termios

        loop = asyncio.get_running_loop()
        loop.remove_reader(_STDIN)
        loop.remove_signal_handler(signal.SIGCONT)
        if self._draft_timer is not None:
            self._draft_timer.cancel()
        if self._saved is not None:
            self._ask_terminal(_LEAVE_PASTES)
            with suppress(termios.error, OSError):
                termios.tcsetattr(_STDIN, termios.TCSADRAIN, self._saved)

    def _take_keys(self) -> None:
        import termios

        with suppress(termios.error, OSError):
            mode = termios.tcgetattr(_STDIN)
            self._saved = self._saved or termios.tcgetattr(_STDIN)
            mode[0] &= ~termios.ICRNL  # a paste with \r\n would come with \n\n
            mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(_STDIN, termios.TCSANOW, mode)
            self._ask_terminal(_MARK_PASTES)

    def _ask_terminal(self, sequence: str) -> None:
        """Ask the terminal that one types at for a mode; the output may go elsewhere."""
        if os.environ.get("TERM", "dumb") == "dumb":  # it would print the question
            return
        with suppress(OSError):
            if sys.stdout.isatty():
                self._print(sequence)
            else:
                os.write(_STDIN, sequence.encode())

    def _read(self) -> None:
        try:
            data = os.read(_STDIN, 4_096)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self._end()
            return
        for done in self._editor.feed(data):
            self._do(done)
        if self._draft_timer is None:
            loop = asyncio.get_running_loop()
            self._draft_timer = loop.call_later(_DRAFT_AFTER, self._tell_draft)

    def _do(self, done: Done) -> None:
        match done:
            case Echo(text, anew=False):
                self._echo(text)
                self.look_up(self.text, lambda: None)
            case Echo():
                self._begin_again()
            case TabPressed():
                self._complete()
            case Pasted(lines):
                self.say([_PASTED.format("1 line" if lines == 1 else f"{lines} lines")])
            case Submitted(text):
                self._print("\n")
                self._is_begun = False
                if not is_blank(text):
                    self._submit(text)
                else:
                    self.dismissed()
            case _:
                self._end()

    def _tell_draft(self) -> None:
        self._draft_timer = None
        self.drafted(self.text)

    def _echo(self, text: str) -> None:
        self._print("" if self._is_begun else f"{self.prompt}> ", _echoed(text))
        self._is_begun = True

    def _complete(self) -> None:
        """Complete the line; without a name that begins so, once the server has been asked."""
        line = self.text
        found = complete(line, self.sources())
        is_known = found is not None and found.candidates[0].is_prefix
        if is_known or not self.look_up(line, lambda: self._complete_with(line)):
            self._complete_with(line)

    def _complete_with(self, line: str) -> None:
        if self.text != line:
            return  # it was typed on meanwhile
        typed, tabbed = self.text, tab(self.text, self.sources())
        if tabbed.offers:
            self.say([tabbed.offers])
        elif tabbed.text.startswith(typed) and tabbed.text != typed:
            self._editor.text = tabbed.text
            self._echo(tabbed.text[len(typed) :])
        else:
            self.load(tabbed.text)

    def _begin_again(self, above: str = "") -> None:
        """Leave the line as it stands, print `above`, and what is typed on a line of its own."""
        line = f"{self.prompt}> {printable_line(self.text)}" if self.text else ""
        self._print("\n" if self._is_begun else "", above, line)
        self._is_begun = bool(line)

    def _print(self, *parts: str) -> None:
        with suppress(OSError):
            sys.stdout.write("".join(parts))
            sys.stdout.flush()


def _echoed(text: str) -> str:
    return text if text == "\b \b" else printable_line(text)
