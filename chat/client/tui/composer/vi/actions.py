"""vi operators on a known range: delete, put, open, join, change case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chat.client.tui.composer.vi.field import Field, line_end, line_start

__all__ = ["Register", "act", "cut", "delete", "put_over"]


@dataclass(frozen=True, slots=True)
class Register:
    """The last deleted or copied text; `is_lines`: whole lines, without the last line break."""

    text: str = ""
    is_lines: bool = False


def act(name: str, field: Field, count: int, register: Register) -> Field | None:
    """Run the command `name` at the caret; return None if it does not apply."""
    if name[0] == "r":
        return _replace(field, name[1], count)
    if name in "pP":
        return _put(field, register, count, before=name == "P") if register.text else None
    return _ACTS[name](field, count)


def delete(field: Field, start: int, end: int, *, is_lines: bool) -> Field:
    """Delete a range; for whole lines, a line break as well."""
    if not is_lines:
        return field.spliced(start, end)
    if end < len(field.text):
        end += 1
    elif start:
        start -= 1
    done = field.spliced(start, end)
    return done.at(_first_letter(done.text, min(done.caret, len(done.text))))


def cut(name: str, field: Field, start: int, end: int) -> Field:
    """Run the visual command `name` (`J`, `~`, or `r` with a character) on a range."""
    chosen = field.text[start:end]
    if name == "J":
        return _join(Field(field.text, start), max(chosen.count("\n") + 1, 2)) or Field(
            field.text, start
        )
    if name == "~":
        return field.spliced(start, end, chosen.swapcase())
    return field.spliced(start, end, "".join(name[1] if char != "\n" else char for char in chosen))


def put_over(
    field: Field, start: int, end: int, register: Register, *, is_lines: bool
) -> tuple[Field, Register]:
    """Replace a range by the register; return the field, and the range as the new register."""
    text = register.text
    if register.is_lines and not is_lines:
        text = f"\n{text}\n"
    done = field.spliced(start, end, text)
    return done.at(start + max(len(text) - 1, 0)), Register(field.text[start:end], is_lines)


def _replace(field: Field, char: str, count: int) -> Field | None:
    end = field.caret + count
    if end > line_end(field.text, field.caret):
        return None
    return field.spliced(field.caret, end, char * count).at(end - 1)


def _put(field: Field, register: Register, count: int, *, before: bool) -> Field:
    text, caret = field.text, field.caret
    if register.is_lines:
        lines = "\n".join([register.text] * count)
        if before:
            start = line_start(text, caret)
            done = field.spliced(start, start, lines + "\n")
            return done.at(_first_letter(done.text, start))
        end = line_end(text, caret)
        done = field.spliced(end, end, "\n" + lines)
        return done.at(_first_letter(done.text, end + 1))
    at = caret if before else min(caret + 1, line_end(text, caret))
    more = register.text * count
    return field.spliced(at, at, more).at(at + len(more) - 1)


def _join(field: Field, count: int) -> Field | None:
    text, caret = field.text, field.caret
    for _ in range(max(count - 1, 1)):
        end = line_end(text, caret)
        if end == len(text):
            break
        rest = text[end + 1 :].lstrip(" \t")
        gap = " " if text[:end] and rest and text[end - 1 : end] not in (" ", "\n") else ""
        text, caret = text[:end] + gap + rest, end
    return None if text == field.text else Field(text, caret)


def _swap_case(field: Field, count: int) -> Field | None:
    end = min(field.caret + count, line_end(field.text, field.caret))
    if end == field.caret:
        return None
    return field.spliced(field.caret, end, field.text[field.caret : end].swapcase()).at(end)


def _open_below(field: Field, count: int) -> Field:
    end = line_end(field.text, field.caret)
    return field.spliced(end, end, "\n").at(end + 1)


def _open_above(field: Field, count: int) -> Field:
    start = line_start(field.text, field.caret)
    return field.spliced(start, start, "\n")


def _first_letter(text: str, at: int) -> int:
    start = line_start(text, at)
    line = text[start : line_end(text, start)]
    return start + len(line) - len(line.lstrip())


_ACTS: dict[str, Callable[[Field, int], Field | None]] = {
    "i": lambda field, count: replace(field),
    "I": lambda field, count: field.at(_first_letter(field.text, field.caret)),
    "a": lambda field, count: field.at(min(field.caret + 1, line_end(field.text, field.caret))),
    "A": lambda field, count: field.at(line_end(field.text, field.caret)),
    "o": _open_below,
    "O": _open_above,
    "J": _join,
    "~": _swap_case,
}
