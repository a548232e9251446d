"""Lines in and out: an editing terminal, or pipes.

`Editor` is pure: bytes in, actions out. The terminal delivers single keys without echo. Arrow keys
do nothing, and the cursor never moves, for screen readers and simple terminals. Completion is the
composer's.

Bracketed paste marks pasted text: its line breaks are part of the text and do not submit it.

A line that is printed while the user types goes above the typed text, which is printed again.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chat.client.model.slash import commands
from chat.client.model.slash.parser import is_command
from chat.client.platform import desktop
from chat.client.platform.desktop import BELL
from chat.client.platform.stdio import read_lines
from chat.client.presenter.composer.completion import Sources, complete
from chat.errors import StartupError
from chat.program import tell
from chat.text import is_blank, printable, printable_line

__all__ = [
    "Done",
    "Echo",
    "Editor",
    "Ended",
    "Lines",
    "Pasted",
    "Piped",
    "Submitted",
    "TabPressed",
    "Tabbed",
    "Typed",
    "tab",
]


_ERASE = "\b \b"
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
_UNFIT = ("Cc", "Cs")
"""Unicode categories that are not text: controls and surrogates."""
_PASTE_MAX = 1_000_000
"""Maximum characters of a paste; more than any server accepts in a message."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Text to print after the typed line; with `reprint`, the whole line is printed again."""

    text: str
    reprint: bool = False


@dataclass(frozen=True, slots=True)
class Submitted:
    """Enter was pressed."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Ctrl+D was pressed on an empty line."""


@dataclass(frozen=True, slots=True)
class TabPressed:
    """Tab was pressed."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """A text of several lines was pasted; Enter submits it."""

    lines: int


Done = Echo | Submitted | Ended | TabPressed | Pasted


class Editor:
    """Turns terminal bytes into actions; `text` is the typed line."""

    def __init__(self) -> None:
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape = ""
        self._paste: list[str] | None = None
        """The part of a paste received so far."""

    def feed(self, data: bytes) -> Iterator[Done]:
        """Yield an action for each key; each must be done before the next key is read."""
        for char in self._decoder.decode(data):
            if done := self._key(char):
                yield done

    def _key(self, char: str) -> Done | None:
        if self._escape or char == "\x1b":
            return self._swallow(char)
        if self._paste is not None:
            self._paste += char if len(self._paste) < _PASTE_MAX else ""
            return None
        return self._pressed(char)

    def _pressed(self, char: str) -> Done | None:
        match char:
            case "\n" | "\r":
                text, self.text = self.text, ""
                return Submitted(text)
            case "\x04":
                return None if self.text else Ended()
            case "\t":
                return TabPressed()
            case "\x7f" | "\b":
                return self._erased()
            case "\x15":  # Ctrl+U
                self.text = ""
                return Echo("", reprint=True)
            case "\x17":  # Ctrl+W
                self.text = self.text.rstrip().rpartition(" ")[0]
                self.text += " " if self.text else ""
                return Echo("", reprint=True)
        if unicodedata.category(char) in _UNFIT:
            return None
        self.text += char
        return Echo(char)

    def _erased(self) -> Echo | None:
        if not self.text:
            return None
        last, self.text = self.text[-1], self.text[:-1]
        # Only ASCII has a certain width in all terminals.
        return Echo(_ERASE) if last.isascii() and last.isprintable() else Echo("", reprint=True)

    def _swallow(self, char: str) -> Done | None:
        """Skip a key's escape sequence: `ESC x`, `ESC O x`, `ESC [ … letter`."""
        self._escape += char
        if len(self._escape) == 1 or self._escape in ("\x1b[", "\x1bO"):
            return None
        if self._escape.startswith("\x1b[") and not "@" <= char <= "~" and len(self._escape) <= 32:
            return None
        sequence, self._escape = self._escape, ""
        if sequence == _PASTE_BEGINS and self._paste is None:
            self._paste = []
        elif sequence == _PASTE_ENDS and self._paste is not None:
            pasted, self._paste = "".join(self._paste), None
            return self._take_paste(pasted)
        return None

    def _take_paste(self, pasted: str) -> Done | None:
        """Append a paste to the line.

        A paste of several lines is never a command: a first `/` is doubled.
        """
        pasted = pasted.replace("\r\n", "\n").replace("\r", "\n")
        pasted = "".join(
            char for char in pasted if char in "\n\t" or unicodedata.category(char) not in _UNFIT
        )
        text = pasted.strip("\n")
        if "\n" not in pasted:
            self.text += text
            return Echo(text) if text else None
        if not self.text and text.startswith("/"):
            text = f"/{text}"
        self.text += text
        return Pasted(text.count("\n") + 1)


_MOST = 20
"""Most candidates that are printed at a time."""


@dataclass(frozen=True, slots=True)
class Tabbed:
    """The line after Tab, and a line that lists the remaining candidates, if any."""

    text: str
    offers: str = ""


def tab(text: str, sources: Sources) -> Tabbed:
    """Complete the end of `text` as far as all candidates agree."""
    found = complete(text, sources)
    if found is None:
        return Tabbed(text)
    before, word = text[: found.start], text[found.start :]
    begun = [each for each in found.candidates if each.is_prefix]
    candidates = begun or found.candidates
    inserts = [each.insert for each in candidates]
    shared = inserts[0][: _agreed([insert.lower() for insert in inserts])]
    goes_on = len(shared) > len(word) and shared.lower().startswith(word.lower())
    if len(inserts) == 1 or goes_on:
        return Tabbed(before + shared)
    offers = ", ".join(each.label for each in candidates[:_MOST])
    more = len(candidates) - _MOST
    return Tabbed(text, f"{offers} and {more} more" if more > 0 else offers)


def _agreed(texts: Sequence[str]) -> int:
    """Return the length of the common prefix of `texts`."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(first))


_STDIN = 0
_DRAFT_AFTER = 0.5
"""Seconds between a key press and the saving of the draft."""
_PASTED = "Pasted {}. Enter sends {} as one message, Ctrl+U discards {}."
_MARK_PASTES, _LEAVE_PASTES = "\x1b[?2004h", "\x1b[?2004l"


class Lines:
    """Prints lines. Subclasses read input: `submit` gets each line, `end` is called at its end."""

    failure: OSError | None = None
    """The error of printing, if it failed."""
    fault = ""
    """Why piped input was stopped before its end; empty if it was not."""

    def __init__(self, submit: Callable[[str], None], end: Callable[[], None]) -> None:
        self.prompt = ""
        self.sources: Callable[[], Sources] = Sources
        self.look_up: Callable[[str, Callable[[], None]], bool] = lambda _line, _then: False
        self.drafted: Callable[[str], None] = lambda _: None
        """Saves the typed text as the draft."""
        self.dismissed: Callable[[], None] = lambda: None
        """Cancels a reply or an edit: an empty line was submitted."""
        self._submit = submit
        self._end = end

    @property
    def text(self) -> str:
        """The typed text."""
        return ""

    def load(self, text: str) -> None:
        """Replace the typed text."""

    def say(self, lines: Iterable[str]) -> None:
        """Print whole lines."""
        text = "".join(f"{printable(line)}\n" for line in lines)
        if text and self.failure is None:
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except OSError as exc:  # a closed pipe, or a full disk
                self.failure = exc
                self._end()

    def refuse(self, lines: Iterable[str]) -> None:
        """Print an error."""
        self.say(lines)

    def ask(self, question: str, then: Callable[[str], None], *, is_hidden: bool) -> bool:
        """Ask for one line, which `then` gets; return False without a terminal.

        It is never saved as a draft; with `is_hidden`, it is not printed either. An empty answer
        cancels.
        """
        return False

    def ring_bell(self) -> None:
        """Ring the terminal's bell, if there is a terminal."""

    def copy(self, text: str) -> bool:
        """Copy through the terminal; return False without a terminal."""
        return False

    def open(self) -> None:
        """Begin to read lines."""

    def stop(self, why: str) -> None:
        """Stop reading piped input, for the reason `why`; a terminal goes on."""

    def close(self) -> None:
        """Stop reading and restore the terminal."""


class Piped(Lines):
    """Piped input: each line of standard input is submitted as if typed.

    Args:
        submit: receives each line.
        end: called after the last line.
        answered: waits until all earlier requests are done; a command may depend on them.
    """

    def __init__(
        self,
        submit: Callable[[str], None],
        end: Callable[[], None],
        answered: Callable[[], Awaitable[object]],
    ) -> None:
        super().__init__(submit, end)
        self._answered = answered
        self.refusals = 0
        """Number of commands and messages that failed."""
        self._reading: asyncio.Task[None] | None = None

    def refuse(self, lines: Iterable[str]) -> None:
        """Print an error on standard error, and count it for the exit code."""
        for line in lines:
            self.refusals += 1
            tell(f"chat-client: {printable_line(line)}")

    def open(self) -> None:
        """Begin to read lines."""
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def stop(self, why: str) -> None:
        """Stop reading; lines already read are still processed."""
        self.fault = why
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            self._end()

    def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        try:
            async for line in read_lines(_STDIN):
                if is_command(line):
                    await self._answered()
                if name := _asks_secret(line):
                    raise StartupError(
                        f"/{name} needs a terminal: secrets are not read from a pipe, and the "
                        "lines after it were not sent"
                    )
                before = self.refusals
                self._submit(line)
                if self.refusals > before and _chooses_channel(line):
                    raise StartupError(
                        f"the lines after {printable_line(line)[:80]!r} were not sent"
                    )
        except StartupError as exc:
            self.fault = str(exc)
        self._end()


def _chooses_channel(line: str) -> bool:
    """Whether a line is a command that changes the channel of later lines."""
    return _command_of(line) in ("join", "msg", "server", "connect")


def _asks_secret(line: str) -> str:
    """Return the command of a line if later lines could be a secret for it; else an empty text."""
    name = _command_of(line)
    return name if name in ("password", "signin") else ""


def _command_of(line: str) -> str:
    command = commands.find(line.partition(" ")[0]) if is_command(line) else None
    return command.name if command is not None else ""


@dataclass(frozen=True, slots=True)
class _Question:
    """A question that waits for a line; `before` is the text that was typed before it."""

    text: str
    then: Callable[[str], None]
    is_hidden: bool
    before: str


class Typed(Lines):
    """A terminal, read key by key; printed lines do not disturb the typed text."""

    def __init__(self, submit: Callable[[str], None], end: Callable[[], None]) -> None:
        super().__init__(submit, end)
        self._editor = Editor()
        self._saved: list[Any] | None = None
        """The terminal's settings to restore, as of `termios`."""
        self._is_begun = False
        """Whether the prompt is printed on the current line."""
        self._draft_timer: asyncio.TimerHandle | None = None
        self._question: _Question | None = None

    @property
    def text(self) -> str:
        """The typed text; never the answer to a question."""
        return self._editor.text if self._question is None else self._question.before

    def load(self, text: str) -> None:
        """Replace the typed text."""
        if self._question is not None:
            self._question = replace(self._question, before=text)
        elif text != self._editor.text:
            self._editor.text = text
            self._begin_again()

    def say(self, lines: Iterable[str]) -> None:
        """Print lines, then the typed text again."""
        if texts := [printable(line) for line in lines]:
            self._begin_again("".join(f"{line}\n" for line in texts))

    def ask(self, question: str, then: Callable[[str], None], *, is_hidden: bool) -> bool:
        """Ask for one line."""
        before, self._editor.text = self.text, ""
        self._question = _Question(question, then, is_hidden, before)
        self._begin_again()
        return True

    def _answer(self, question: _Question, text: str) -> None:
        self._question = None
        self._editor.text = question.before
        if text:
            question.then(text)
        else:
            self.say(["Cancelled."])
        if self._question is None:
            self._begin_again()

    def ring_bell(self) -> None:
        """Ring the terminal's bell."""
        self._print(BELL)

    def copy(self, text: str) -> bool:
        """Copy through the terminal."""
        self._print(desktop.clipboard_sequence(text))
        return True

    def open(self) -> None:
        """Begin to read keys."""
        loop = asyncio.get_running_loop()
        self._take_keys()
        loop.add_reader(_STDIN, self._read)
        loop.add_signal_handler(signal.SIGCONT, self._take_keys)

    def close(self) -> None:
        """Stop reading and restore the terminal."""
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
        """Send a mode sequence to the input terminal; standard output may be elsewhere."""
        if os.environ.get("TERM", "dumb") == "dumb":
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
            self._draft_timer = loop.call_later(_DRAFT_AFTER, self._draft_changed)

    def _do(self, done: Done) -> None:
        match done:
            case Echo(text, reprint=False):
                self._echo(text)
                if self._question is None:
                    self.look_up(self.text, lambda: None)
            case Echo():
                self._begin_again()
            case TabPressed():
                self._complete()
            case Pasted(lines):
                what, them = ("1 line", "it") if lines == 1 else (f"{lines} lines", "them")
                self.say([_PASTED.format(what, them, them)])
            case Submitted(text):
                self._print("\n")
                self._is_begun = False
                if self._question is not None:
                    self._answer(self._question, text)
                elif not is_blank(text):
                    self._submit(text)
                else:
                    self.dismissed()
            case _:
                self._end()

    def _draft_changed(self) -> None:
        self._draft_timer = None
        self.drafted(self.text)

    def _echo(self, text: str) -> None:
        is_hidden = self._question is not None and self._question.is_hidden
        self._print("" if self._is_begun else self._lead, "" if is_hidden else _echoed(text))
        self._is_begun = True

    @property
    def _lead(self) -> str:
        """The prompt: the open question, or the current channel."""
        if self._question is not None:
            return f"{printable_line(self._question.text)}: "
        return f"{self.prompt}> "

    def _complete(self) -> None:
        """Complete the line; without a match, look the name up on the server first."""
        if self._question is not None:
            return
        line = self.text
        found = complete(line, self.sources())
        is_known = found is not None and found.candidates[0].is_prefix
        if is_known or not self.look_up(line, lambda: self._complete_with(line)):
            self._complete_with(line)

    def _complete_with(self, line: str) -> None:
        if self.text != line:
            return  # the user typed on meanwhile
        typed, tabbed = self.text, tab(self.text, self.sources())
        if tabbed.offers:
            self.say([tabbed.offers])
        elif tabbed.text.startswith(typed) and tabbed.text != typed:
            self._editor.text = tabbed.text
            self._echo(tabbed.text[len(typed) :])
        else:
            self.load(tabbed.text)

    def _begin_again(self, above: str = "") -> None:
        """End the line, print `above`, then print the typed text on a new line."""
        question = self._question
        typed = self._editor.text if question is None or not question.is_hidden else ""
        has_line = question is not None or bool(typed)
        line = f"{self._lead}{printable_line(typed)}" if has_line else ""
        self._print("\n" if self._is_begun else "", above, line)
        self._is_begun = bool(line)

    def _print(self, *parts: str) -> None:
        with suppress(OSError):
            sys.stdout.write("".join(parts))
            sys.stdout.flush()


def _echoed(text: str) -> str:
    return text if text == "\b \b" else printable_line(text)
