r"""Parse terminal input into keys and pastes.

`InputParser` corrects these cases of Textual 8's parser:

- Alt with a letter, sent as `ESC` and the letter, is a key with a character, which a text area
  types. The parser also delays it until no longer sequence can follow.
- Alt with a digit, a comma or a full stop becomes the character that some Macs type with it, or
  the plain character.
- Alt+Enter, sent as `ESC CR`, becomes a plain `enter`, which would send the message.
- Under xterm's modifyOtherKeys, Shift+Enter becomes a key named `shift+\r`, Alt+Enter `\r`.
- An ESC inside a bracketed paste ends the paste, and the rest is replayed as keystrokes, Enter
  included. The sequence that ends a paste has the same effect, and not every terminal removes it
  from pasted text: here only the last one that arrives without a pause ends the paste.
- Escape and a letter typed soon after it become Alt with the letter. A terminal sends Alt with a
  letter in one piece; two key presses arrive separately.
- Unknown sequences, such as a terminal's late reply to an earlier program, are typed as text.
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
_INTRODUCERS = frozenset("[]OPX^_\\")  # of longer sequences (ECMA-48, 5.3), and their terminator
_OTHER_KEY = re.compile(r"\x1b\[27;(?P<modifiers>\d+);(?P<code>\d+)~")
# A control sequence, except mouse and mode reports, which Textual parses after keys.
_SEQUENCE = re.compile(r"\x1b\[(?!<?[\d;-]*[Mm]|\[|\?\d+;\d\$y)[0-?]*[ -/]*[@-~]")
# A complete control string: DCS, SOS, OSC, PM or APC. Incomplete ones are not awaited: Alt+P would
# swallow the text typed after it.
_STRING = re.compile(r"\x1b[PX\]^_][^\x00-\x06\x08\x0a-\x1f\x07]*(?:\x07|\x1b\\)")


# Continuation of a sequence whose ESC was the end of the previous read.
_REST = re.compile(r"[\x1b\[\]]|[NOPX^_].")


class InputParser(XTermParser):
    """Textual's parser with the corrections listed in the module's docstring."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._in_paste = False
        self._ends_in_escape = False
        # Outside a paste: a possible partial start marker. Inside: everything from a possible end
        # marker on, which may itself be pasted text.
        self._held = ""

    @property
    def is_settling(self) -> bool:
        """Whether the paste ends if no more input follows; the caller then calls `settle`."""
        return self._in_paste and self._held.startswith(BRACKETED_PASTE_END)

    def settle(self) -> Iterable[Message]:
        """End a pending paste after a pause in the input, and parse the text behind it."""
        if self.is_settling:
            typed, self._held = self._held[len(BRACKETED_PASTE_END) :], ""
            self._in_paste = False
            yield from super().feed(BRACKETED_PASTE_END)
            if typed:
                yield from self.feed(typed)

    def feed(self, data: str) -> Iterable[Message]:
        """Parse `data`; remove each ESC inside a paste except that of its end."""
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
        """Whether `data` is a separate key press after a pending ESC."""
        is_waiting = self._ends_in_escape and self._timeout_time is not None
        return is_waiting and not self._in_paste and bool(data) and not _REST.match(data)

    def _pieces(self, data: str) -> Iterator[str]:
        while data:
            if not self._in_paste:
                # Text outside a paste passes at once: an ESC must not be delayed.
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
            # Translate to the kitty protocol, which Textual parses correctly.
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
    """Return pasted text without ESC, and without the markers between adjacent pastes."""
    text = text.replace(BRACKETED_PASTE_END + BRACKETED_PASTE_START, "")
    return text.replace(BRACKETED_PASTE_END, "").replace("\x1b", "")


def _partial_end(data: str) -> int:
    """Return the start of a partial end marker at the end of `data`, or the length of `data`."""
    for length in range(min(len(data), len(BRACKETED_PASTE_END) - 1), 0, -1):
        if data.endswith(BRACKETED_PASTE_END[:length]):
            return len(data) - length
    return len(data)
