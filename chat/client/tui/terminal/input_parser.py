r"""Parse terminal input into keys and pastes.

Textual 8 reads some things differently from what a person did:

- Alt with a letter, sent as `ESC` and the letter, is a key with a character: a text area types it.
  It is also known only after a delay, in which nothing else could come that it might be part of.
- Alt with a digit, a comma or a full stop becomes a sign that some Macs type with it, or the plain
  sign.
- Alt+Enter, sent as `ESC CR`, becomes a plain `enter`: it would send instead of making a new line.
- Under xterm's modifyOtherKeys, Shift+Enter becomes a key called `shift+\r`, Alt+Enter `\r`.
- An ESC inside a bracketed paste ends the paste; the rest is replayed as keystrokes, Enter
  included. So does the sequence that ends a paste, which not every terminal takes out of what it
  pastes: the last one of all that comes in one go counts.
- Escape and a letter typed soon after it become Alt with the letter, though a terminal sends both
  of that in one go and a person does not.
- What it does not know, such as a terminal's late answer to a question of an earlier program, is
  typed as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from textual import events
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.keys import Keys
from textual.message import Message

__all__ = ["InputParser"]

_ALT_ENTER = ("\x1b\r", "\x1b\n")
_ALT_SIGNS = {f"\x1b{digit}": f"alt+{digit}" for digit in "0123456789"}
_ALT_SIGNS |= {"\x1b,": "alt+comma", "\x1b.": "alt+full_stop"}
_INTRODUCERS = frozenset("[]OPX^_\\")  # of longer sequences (ECMA-48, 5.3), and the end of one
_OTHER_KEY = re.compile(r"\x1b\[27;(?P<modifiers>\d+);(?P<code>\d+)~")
# A whole control sequence, but those that Textual reads after the keys: mouse and mode reports.
_SEQUENCE = re.compile(r"\x1b\[(?!<?[\d;-]*[Mm]|\[|\?\d+;\d\$y)[0-?]*[ -/]*[@-~]")
# A whole control string: DCS, SOS, OSC, PM or APC. It comes in one piece; waiting for the rest of
# another would make Alt+P swallow what is typed after it.
_STRING = re.compile(r"\x1b[PX\]^_][^\x00-\x06\x08\x0a-\x1f\x07]*(?:\x07|\x1b\\)")


# What may come after an ESC that one read ended with, if it is not typed: the rest of a sequence.
_REST = re.compile(r"[\x1b\[\]]|[NOPX^_].")


class InputParser(XTermParser):
    """Textual's parser, with the repairs that the module's docstring names."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._in_paste = False
        self._ends_in_escape = False
        # The last few characters, while a paste's beginning or end may be cut; all from its end on,
        # while that may have been pasted too.
        self._held = ""

    @property
    def is_settling(self) -> bool:
        """Whether a paste is over if nothing more comes for a moment; `settle` is to be told."""
        return self._in_paste and self._held.startswith(BRACKETED_PASTE_END)

    def settle(self) -> Iterable[Message]:
        """Parse what was held: nothing more came for a moment."""
        if self.is_settling:
            typed, self._held = self._held[len(BRACKETED_PASTE_END) :], ""
            self._in_paste = False
            yield from super().feed(BRACKETED_PASTE_END)
            if typed:
                yield from self.feed(typed)

    def feed(self, data: str) -> Iterable[Message]:
        """Parse `data`, without any ESC inside a paste but the one that ends it."""
        if not data:  # the end of input, for Textual's parser
            yield from super().feed(data)
        if self._is_by_hand(data):
            self._timeout_time = 0.0
            yield from self.tick()
        self._ends_in_escape = data.endswith("\x1b")
        for piece in self._pieces(data):
            if piece:
                yield from super().feed(piece)

    def _is_by_hand(self, data: str) -> bool:
        """Whether an ESC waits for the rest of a sequence, and this is another key."""
        is_waiting = self._ends_in_escape and self._timeout_time is not None
        return is_waiting and not self._in_paste and bool(data) and not _REST.match(data)

    def _pieces(self, data: str) -> Iterator[str]:
        while data:
            if not self._in_paste:
                # What stands outside goes through at once: an ESC must not wait for its company.
                seen = self._held + data
                at = seen.find(BRACKETED_PASTE_START)
                if at < 0:
                    self._held = seen[1 - len(BRACKETED_PASTE_START) :]
                    yield _STRING.sub("", data)
                    return
                end = at + len(BRACKETED_PASTE_START)
                yield _STRING.sub("", seen[len(self._held) : end])
                data, self._held, self._in_paste = seen[end:], "", True
                continue
            data, self._held = self._held + data, ""
            at = data.rfind(BRACKETED_PASTE_END)
            at = _partial_end(data) if at < 0 else at
            yield _pasted(data[:at])
            self._held = data[at:]
            return

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if sequence in _ALT_ENTER:
            return (events.Key("alt+enter", None),)
        if name := _ALT_SIGNS.get(f"\x1b{sequence}" if alt else sequence):
            return (events.Key(name, None),)
        if match := _OTHER_KEY.fullmatch(sequence):
            # The kitty protocol says the same, and Textual reads that right.
            sequence = f"\x1b[{match['code']};{match['modifiers']}u"
        keys = tuple(super()._sequence_to_key_events(sequence, alt=alt))
        if not keys and len(sequence) == 2 and sequence[1] not in _INTRODUCERS:
            keys, alt = tuple(super()._sequence_to_key_events(sequence[1], alt=True)), True
        if not keys and _SEQUENCE.fullmatch(sequence):
            return (events.Key(Keys.Ignore, sequence),)
        return tuple(map(_unprintable, keys)) if alt else keys


def _unprintable(key: events.Key) -> events.Key:
    return events.Key(key.key, None) if key.key.startswith("alt+") else key


def _pasted(text: str) -> str:
    """Return what is text of a paste; of two that come in one go the marks between them go too."""
    text = text.replace(BRACKETED_PASTE_END + BRACKETED_PASTE_START, "")
    return text.replace(BRACKETED_PASTE_END, "").replace("\x1b", "")


def _partial_end(data: str) -> int:
    """Return where the beginning of a paste's end stands at the end of `data`; else its length."""
    for length in range(min(len(data), len(BRACKETED_PASTE_END) - 1), 0, -1):
        if data.endswith(BRACKETED_PASTE_END[:length]):
            return len(data) - length
    return len(data)
