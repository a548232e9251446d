"""The keys as people read them: for the help screen, the status bar and the README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from textual.binding import Binding, BindingType

__all__ = ["KeyRow", "key_label", "markdown", "rows", "together"]

_DIGIT = re.compile(r"\d")
_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "escape": "Esc",
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "comma": ",",
    "full_stop": ".",
    "underscore": "_",
}


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One action: where it is to be had, its keys, and what it does."""

    group: str
    keys: tuple[str, ...]
    help: str
    id: str


def key_label(key: str) -> str:
    """Return a key as it stands on keyboards: `alt+down` is `Alt+↓`."""
    *modifiers, last = key.split("+")
    if last in _NAMES:
        name = _NAMES[last]
    elif len(last) == 1 and not modifiers:
        name = last
    else:
        name = last.capitalize()
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def rows(
    groups: Mapping[str, Iterable[BindingType]], keymap: Mapping[str, str] | None = None
) -> list[KeyRow]:
    """Return the actions of `groups` that have an id; `keymap` holds a person's own keys by id."""
    own = keymap or {}
    found: list[KeyRow] = []
    for group, bindings in groups.items():
        for binding in bindings:
            if isinstance(binding, Binding) and binding.id and binding.description:
                keys = own.get(binding.id, binding.key).split(",")
                labels = tuple(key_label(key.strip()) for key in keys)
                what = binding.description[0].lower() + binding.description[1:]
                found.append(KeyRow(group, labels, what, binding.id))
    return found


def together(rows: Sequence[KeyRow]) -> list[KeyRow]:
    """Return rows with one for all neighbours that differ in a digit only, from first to last."""
    found: list[KeyRow] = []
    for _, run in groupby(rows, lambda row: _DIGIT.sub("0", f"{row.keys} {row.help} {row.id}")):
        first, *others = run
        if others and _DIGIT.search(first.id):
            last = others[-1]
            keys = (f"{first.keys[0]} … {last.keys[0]}",)
            ends = " … ".join(_DIGIT.findall(first.help + last.help))
            what = _DIGIT.sub(ends, first.help)
            found.append(KeyRow(first.group, keys, what, f"{first.id} … {last.id}"))
        else:
            found += [first, *others]
    return found


def markdown(found: Sequence[KeyRow]) -> str:
    """Return the actions as a Markdown table."""
    lines = ["| where | key | what it does | name |", "|---|---|---|---|"]
    for row in together(found):
        keys = ", ".join(f"`{key}`" for key in row.keys)
        lines.append(f"| {row.group} | {keys} | {row.help} | `{row.id}` |")
    return "\n".join(lines)
