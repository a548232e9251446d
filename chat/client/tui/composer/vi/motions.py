"""vi motions."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from chat.client.tui.composer.vi.field import line_end, line_start

__all__ = ["Extent", "Reach", "around_word", "reach"]


class Extent(Enum):
    """How much of a motion an operator covers."""

    UP_TO = "up to"  # without the character at the target
    WITH = "with"
    LINES = "lines"  # whole lines, the first and the last included


class Reach(NamedTuple):
    """The target offset of a motion, and how much of it an operator covers."""

    to: int
    extent: Extent = Extent.UP_TO


def reach(text: str, at: int, motion: str, number: int | None) -> Reach | None:
    """Return the target of a motion; None if it is impossible.

    Args:
        text: the text.
        at: the offset of the caret.
        motion: its keys, with the character to find for `f`, `t`, `F` and `T`.
        number: the count, or the line number for `gg` and `G`; None if not given.
    """
    count = number or 1
    if len(motion) == 2 and motion != "gg":
        return _to_character(text, at, motion, count)
    if motion in _STEPS:
        return _repeated(text, at, motion, count)
    if motion in ("j", "k"):
        return _by_lines(text, at, count if motion == "j" else -count)
    return _LEAPS[motion](text, at, number)


def around_word(text: str, at: int, which: str) -> tuple[int, int] | None:
    """Return the range of the word at an offset; `aw` includes white space, `iw` does not."""
    big = which[1] == "W"
    if at >= len(text) or text[at] == "\n":
        return None
    kind, first, end = _kind(text[at], big), at, at
    while first and text[first - 1] != "\n" and _kind(text[first - 1], big) == kind:
        first -= 1
    while end < len(text) and text[end] != "\n" and _kind(text[end], big) == kind:
        end += 1
    if which[0] == "a":
        behind = end
        while behind < len(text) and text[behind] in " \t":
            behind += 1
        if behind == end:  # no white space after the word: include that before it
            while first and text[first - 1] in " \t":
                first -= 1
        end = behind
    return first, end


def _kind(char: str, big: bool) -> int:
    if char.isspace():
        return 0
    return 1 if big or char.isalnum() or char == "_" else 2


def _is_empty_line(text: str, at: int) -> bool:
    return at < len(text) and text[at] == "\n" and (at == 0 or text[at - 1] == "\n")


def _next_word(text: str, at: int, big: bool) -> int:
    if at < len(text) and (kind := _kind(text[at], big)):
        while at < len(text) and _kind(text[at], big) == kind:
            at += 1
    while at < len(text) and text[at].isspace():
        at += 1
        if _is_empty_line(text, at):
            break
    return at


def _word_before(text: str, at: int, big: bool) -> int:
    at -= 1
    while at > 0 and text[at].isspace() and not _is_empty_line(text, at):
        at -= 1
    if at <= 0 or text[at].isspace():
        return max(at, 0)
    kind = _kind(text[at], big)
    while at > 0 and _kind(text[at - 1], big) == kind:
        at -= 1
    return at


def _word_end(text: str, at: int, big: bool) -> int:
    at += 1
    while at < len(text) and text[at].isspace():
        at += 1
    while at + 1 < len(text) and _kind(text[at + 1], big) == _kind(text[at], big):
        at += 1
    return min(at, max(len(text) - 1, 0))


def _left(text: str, at: int, big: bool) -> int:
    return max(at - 1, line_start(text, at))


def _right(text: str, at: int, big: bool) -> int:
    return min(at + 1, line_end(text, at))


_STEPS: dict[str, Callable[[str, int, bool], int]] = {
    "h": _left,
    "l": _right,
    "w": _next_word,
    "W": _next_word,
    "b": _word_before,
    "B": _word_before,
    "e": _word_end,
    "E": _word_end,
}


def _repeated(text: str, at: int, motion: str, count: int) -> Reach | None:
    start = at
    for _ in range(count):
        to = _STEPS[motion](text, at, motion.isupper())
        if to == at:
            break
        at = to
    if at == start:
        return None
    return Reach(at, Extent.WITH if motion in "eE" else Extent.UP_TO)


def _by_lines(text: str, at: int, count: int) -> Reach | None:
    column, start = at - line_start(text, at), line_start(text, at)
    for _ in range(abs(count)):
        if count > 0:
            end = line_end(text, start)
            if end == len(text):
                return None
            start = end + 1
        else:
            if start == 0:
                return None
            start = line_start(text, start - 1)
    return Reach(min(start + column, line_end(text, start)), Extent.LINES)


def _to_character(text: str, at: int, motion: str, count: int) -> Reach | None:
    how, char = motion[0], motion[1]
    start, end = line_start(text, at), line_end(text, at)
    place = at
    if how in "ft":
        # `t` directly before its character searches for the next one.
        place += how == "t" and text[at + 1 : at + 2] == char and count == 1
        for _ in range(count):
            place = text.find(char, place + 1, end)
            if place < 0:
                return None
        return Reach(place - (how == "t"), Extent.WITH)
    place -= how == "T" and at > start and text[at - 1] == char and count == 1
    for _ in range(count):
        place = text.rfind(char, start, max(place, start))
        if place < 0:
            return None
    return Reach(place + (how == "T"))


def _first_letter(text: str, at: int) -> int:
    start, end = line_start(text, at), line_end(text, at)
    line = text[start:end]
    return start + len(line) - len(line.lstrip())


def _to_line(text: str, number: int) -> Reach:
    at = 0
    for _ in range(number - 1):
        end = line_end(text, at)
        if end == len(text):
            break
        at = end + 1
    return Reach(_first_letter(text, at), Extent.LINES)


def _to_line_end(text: str, at: int, number: int | None) -> Reach | None:
    if number and number > 1:
        below = _by_lines(text, at, number - 1)
        if below is None:
            return None
        at = below.to
    return Reach(line_end(text, at))


_LEAPS: dict[str, Callable[[str, int, int | None], Reach | None]] = {
    "0": lambda text, at, number: Reach(line_start(text, at)),
    "^": lambda text, at, number: Reach(_first_letter(text, at)),
    "$": _to_line_end,
    "gg": lambda text, at, number: _to_line(text, number or 1),
    "G": lambda text, at, number: _to_line(text, number or text.count("\n") + 1),
}
