"""The vi state machine: modes, pending keys, register, and repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from chat.client.tui.composer.vi import grammar
from chat.client.tui.composer.vi.actions import Register, act, cut, delete, put_over
from chat.client.tui.composer.vi.field import Field, line_end, line_start
from chat.client.tui.composer.vi.grammar import Command
from chat.client.tui.composer.vi.motions import Extent, Reach, around_word, reach

__all__ = ["Ask", "Mode", "Vi"]


class Mode(StrEnum):
    """Modes of the machine."""

    INSERT = "insert"
    NORMAL = "normal"
    VISUAL = "visual"
    LINES = "visual line"


class Ask(Enum):
    """Requests to the owner of the text."""

    UNDO = "undo"
    REDO = "redo"
    BELL = "bell"


@dataclass(frozen=True, slots=True)
class _Insertion:
    """An insertion in progress between `before` and `after`, started by the command `keys`."""

    before: str
    after: str
    keys: str
    count: int = 1

    def typed(self, text: str) -> str | None:
        """Return the inserted text; None if text elsewhere changed too."""
        end = len(text) - len(self.after)
        if end < len(self.before) or text[: len(self.before)] != self.before:
            return None
        return text[len(self.before) : end] if text[end:] == self.after else None


class Vi:
    """A vi state machine, initially in insert mode; `press` handles each key."""

    def __init__(self) -> None:
        self.mode = Mode.INSERT
        self._keys = ""
        self._register = Register()
        self._sought = ""
        self._column: tuple[int, int] | None = None
        self._inserting: _Insertion | None = None
        self._again: tuple[str, str] | None = None

    @property
    def pending(self) -> str:
        """The keys of an unfinished command."""
        return self._keys

    def begin(self) -> None:
        """Reset to insert mode without pending keys."""
        self.mode, self._keys, self._inserting = Mode.INSERT, "", None

    def press(self, key: str, field: Field) -> Field | Ask | None:
        """Return the field after a key, or a request; None if vi does not use the key.

        Args:
            key: a character, or a key's name (`escape`, `left`, `ctrl+r`).
            field: the current text and caret.
        """
        if self.mode is Mode.INSERT:
            return self._leave_insert(field) if key == "escape" else None
        key = _SAME.get(key, key)
        if key == "escape":
            return self._escape(field)
        if len(key) != 1:
            self._keys = ""
            return None
        if key in ":/" and not field.text:
            self.begin()  # start a slash command in insert mode
            return Field("/", 1)
        self._keys += key
        is_selecting = self.mode in (Mode.VISUAL, Mode.LINES)
        command = grammar.read(self._keys, is_selecting=is_selecting)
        if isinstance(command, grammar.Unfinished):
            return field
        keys, self._keys = self._keys, ""
        if command is None:
            return Ask.BELL
        done = self._select(command, field) if is_selecting else self._do(command, keys, field)
        return self._settled(done) if isinstance(done, Field) else done

    def _settled(self, field: Field) -> Field:
        """Move the caret onto a character, except in insert mode."""
        return field if self.mode is Mode.INSERT else field.on(field.caret)

    def _escape(self, field: Field) -> Field | None:
        if not self._keys and self.mode is Mode.NORMAL:
            return None
        self._keys = ""
        self.mode = Mode.NORMAL
        return replace(field, anchor=None).on(field.caret)

    # Normal mode

    def _do(self, command: Command, keys: str, field: Field) -> Field | Ask:
        if command.act == ".":
            return self._repeat(command, field)
        if command.operator:
            done = self._operate(command, field)
        elif command.motion:
            return self._move(command, field) or Ask.BELL
        else:
            done = self._act(command, field)
        is_change = command.operator != "y" and command.act not in ("u", "\x12", "Y", "v", "V")
        if isinstance(done, Field) and is_change:
            self._again = (keys, "")
            if self.mode is Mode.INSERT:
                count = (command.number or 1) if command.act in tuple("aAiI") else 1
                before, after = done.text[: done.caret], done.text[done.caret :]
                self._inserting = _Insertion(before, after, keys, count)
        return done

    def _act(self, command: Command, field: Field) -> Field | Ask:
        match command.act:
            case "u":
                return Ask.UNDO
            case "\x12":
                return Ask.REDO
            case "v" | "V":
                self.mode = Mode.VISUAL if command.act == "v" else Mode.LINES
                return replace(field, anchor=field.caret)
        if command.act in _AS_OPERATOR:
            same = grammar.read(_AS_OPERATOR[command.act])
            assert isinstance(same, Command)
            return self._operate(same._replace(number=command.number), field)
        done = act(command.act, field, command.number or 1, self._register)
        if done is None:
            return Ask.BELL
        if command.act in _THEN_INSERT:
            self.mode = Mode.INSERT
        return done

    def _move(self, command: Command, field: Field) -> Field | None:
        found = self._reach(command, field)
        if found is None:
            return None
        if command.motion not in ("j", "k"):
            return field.at(found.to)
        # Vertical motions keep the original column across shorter lines.
        start = line_start(field.text, found.to)
        column = field.caret - line_start(field.text, field.caret)
        if self._column is not None and self._column[0] == field.caret:
            column = max(column, self._column[1])
        to = field.on(min(start + column, line_end(field.text, start)))
        self._column = (to.caret, column)
        return replace(to, anchor=field.anchor)

    def _reach(self, command: Command, field: Field) -> Reach | None:
        motion = command.motion
        if motion in ";,":
            if not self._sought:
                return None
            motion = self._sought
            if command.motion == ",":
                motion = motion[0].swapcase() + motion[1]
        elif motion[0] in "ftFT":
            self._sought = motion
        return reach(field.text, field.caret, motion, command.number)

    def _operate(self, command: Command, field: Field) -> Field | Ask:
        """Apply an operator to the range of its motion."""
        span = self._span(command, field)
        if span is None:
            return Ask.BELL
        start, end, is_lines = span
        return self._apply(command.operator, field, start, end, is_lines=is_lines)

    def _apply(self, operator: str, field: Field, start: int, end: int, *, is_lines: bool) -> Field:
        self._register = Register(field.text[start:end], is_lines)
        if operator == "y":
            self.mode = Mode.NORMAL
            # As in vi, copying lines moves the caret only if they begin above it.
            stays = is_lines and line_start(field.text, field.caret) == start
            return Field(field.text, field.caret if stays else start)
        if operator == "c":
            self.mode = Mode.INSERT
            return field.spliced(start, end)
        self.mode = Mode.NORMAL
        return delete(field, start, end, is_lines=is_lines)

    def _span(self, command: Command, field: Field) -> tuple[int, int, bool] | None:
        """Return the start and end of the operator's range, and whether it is whole lines."""
        text, caret = field.text, field.caret
        if command.word:
            found = around_word(text, caret, command.word)
            return None if found is None else (*found, False)
        if not command.motion:
            below = (command.number or 1) - 1
            way = reach(text, caret, "j", below) if below else Reach(caret)
            return line_start(text, caret), line_end(text, way.to if way else len(text)), True
        motion = command.motion
        if (
            command.operator == "c"
            and motion in ("w", "W")
            and not text[caret : caret + 1].isspace()
        ):
            return caret, _change_end(text, caret, motion, command.number or 1), False
        way = self._reach(command, field)
        if way is None:
            return None
        first, last_at = sorted((caret, way.to))
        if way.extent is Extent.LINES:
            return line_start(text, first), line_end(text, last_at), True
        if way.extent is Extent.WITH:
            last_at = min(last_at + 1, len(text))
        elif motion in ("w", "W"):  # keep the line break after the last word
            last_at = _before_break(text, first, last_at)
        return first, last_at, False

    # Visual mode

    def _select(self, command: Command, field: Field) -> Field | Ask:
        if command.motion:
            return self._move(command, field) or Ask.BELL
        is_lines = self.mode is Mode.LINES
        if command.act in ("v", "V"):
            wanted = Mode.VISUAL if command.act == "v" else Mode.LINES
            if wanted is self.mode:
                self.mode = Mode.NORMAL
                return replace(field, anchor=None)
            self.mode = wanted
            return field
        if command.act == "o":
            return Field(field.text, field.anchor or 0, field.caret)
        start, end = field.selected
        if is_lines:
            start, end = line_start(field.text, start), line_end(field.text, max(end - 1, start))
        operator = {"x": "d", "s": "c"}.get(command.act, command.act)
        if operator in "dcy":
            return self._apply(operator, field, start, end, is_lines=is_lines)
        self.mode = Mode.NORMAL
        if operator in "pP":
            done, self._register = put_over(field, start, end, self._register, is_lines=is_lines)
            return done
        return cut(operator, field, start, end)

    # Insert mode and repeat

    def _leave_insert(self, field: Field) -> Field:
        self.mode = Mode.NORMAL
        begun, self._inserting = self._inserting, None
        typed = begun.typed(field.text) if begun else None
        if begun is not None:
            self._again = (begun.keys, typed) if typed is not None else None
        if begun is not None and typed and begun.count > 1:
            more = typed * (begun.count - 1)
            end = len(begun.before) + len(typed)
            field = field.spliced(end, end, more).at(end + len(more))
        start = line_start(field.text, field.caret)
        return Field(field.text, max(field.caret - 1, start)).on(max(field.caret - 1, start))

    def _repeat(self, command: Command, field: Field) -> Field | Ask:
        if self._again is None:
            return Ask.BELL
        keys, typed = self._again
        if command.number is not None:
            keys = str(command.number) + keys.lstrip("0123456789")
        again = grammar.read(keys)
        assert isinstance(again, Command)
        done = self._do(again, keys, field)
        if isinstance(done, Field) and self.mode is Mode.INSERT:
            typed_in = done.spliced(done.caret, done.caret, typed)
            done = self._leave_insert(typed_in.at(done.caret + len(typed)))
        return done


_SAME = {
    "left": "h",
    "right": "l",
    "up": "k",
    "down": "j",
    "backspace": "h",
    "home": "0",
    "end": "$",
    "delete": "x",
    "ctrl+r": "\x12",
}
_AS_OPERATOR = {"D": "d$", "C": "c$", "S": "cc", "Y": "yy", "s": "cl", "x": "dl", "X": "dh"}
_THEN_INSERT = frozenset("iIaAoO")


def _change_end(text: str, at: int, motion: str, count: int) -> int:
    """Return the end of the words that `cw` changes; unlike `dw`, it keeps the space after."""
    word = around_word(text, at, f"i{motion}")
    end = word[1] if word else at
    if count > 1 and (rest := reach(text, end - 1, "e" if motion == "w" else "E", count - 1)):
        end = rest.to + 1
    return end


def _before_break(text: str, start: int, end: int) -> int:
    """Return `end`, or the end of an earlier line if only white space lies between."""
    words = start + len(text[start:end].rstrip())
    stop = line_end(text, max(words, start))
    return min(end, stop) if stop > start else end
