"""Keys: all bindings, the user's own keys, and their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations, groupby

from textual.binding import Binding, BindingType
from textual.keys import Keys
from textual.widgets import TextArea

__all__ = [
    "COMPOSER_KEYS",
    "MAIN_KEYS",
    "MESSAGE_ACTIONS",
    "TIMELINE_KEYS",
    "KeyRow",
    "key_label",
    "keys_of",
    "keys_of_commands",
    "problems",
    "rows",
    "together",
]


# Textual's own bindings, neither listed in the help nor rebindable.
_INHERITED = frozenset(
    {
        *("up", "down", "left", "right", "shift+up", "shift+down", "shift+left", "shift+right"),
        *("ctrl+shift+left", "ctrl+shift+right", "shift+home", "shift+end"),
        *("backspace", "delete,ctrl+d"),
    }
)


def _composer_key(keys: str, action: str, help: str, name: str) -> Binding:
    return Binding(keys, action, help, show=False, id=f"composer.{name}")


COMPOSER_KEYS: list[BindingType] = [
    *(
        binding
        for binding in TextArea.BINDINGS
        if isinstance(binding, Binding) and binding.key in _INHERITED
    ),
    _composer_key("enter", "send", "send", "send"),
    _composer_key("alt+enter,shift+enter,ctrl+j", "new_line", "new line", "new_line"),
    _composer_key("tab", "complete", "complete", "complete"),
    _composer_key(
        "escape", "dismiss", "close the suggestions; cancel a reply or an edit", "dismiss"
    ),
    _composer_key("alt+p", "older", "previous sent text", "older"),
    _composer_key("alt+n", "newer", "next sent text", "newer"),
    _composer_key("alt+e", "edit_outside", "edit in $EDITOR", "editor"),
    _composer_key(
        "alt+c", "also_in_channel", "reply also in the channel, or only in the thread", "in_channel"
    ),
    _composer_key("alt+v", "preview", "toggle preview", "preview"),
    _composer_key("pageup", "scroll_timeline(-1)", "scroll the timeline up", "scroll_back"),
    _composer_key("pagedown", "scroll_timeline(1)", "scroll the timeline down", "scroll_on"),
    _composer_key("home,ctrl+a", "cursor_line_start", "start of line", "line_start"),
    _composer_key("end,ctrl+e", "cursor_line_end", "end of line", "line_end"),
    _composer_key("ctrl+left,alt+b", "cursor_word_left", "previous word", "word_left"),
    _composer_key("ctrl+right,alt+f", "cursor_word_right", "next word", "word_right"),
    _composer_key("ctrl+u", "kill_to_start", "cut to start of line", "kill_to_start"),
    _composer_key("ctrl+shift+k,alt+shift+k", "kill_to_end", "cut to end of line", "kill_to_end"),
    _composer_key(
        "ctrl+w,ctrl+backspace,alt+backspace", "kill_word_left", "cut previous word", "kill_left"
    ),
    _composer_key("alt+d,ctrl+delete,alt+delete", "kill_word_right", "cut next word", "kill_right"),
    _composer_key("ctrl+y", "yank", "yank (paste the last cut)", "yank"),
    _composer_key("ctrl+t", "transpose", "transpose characters", "transpose"),
    _composer_key("ctrl+z,ctrl+underscore", "undo", "undo", "undo"),
    _composer_key("alt+z,ctrl+shift+z", "redo", "redo", "redo"),
    _composer_key("f7", "select_all", "select all", "select_all"),
    _composer_key("ctrl+c", "copy", "copy selection", "copy"),
    _composer_key("ctrl+x", "cut", "cut selection or line to the clipboard", "cut"),
    _composer_key("ctrl+v", "paste", "paste the text last copied in this client", "paste"),
]


TIMELINE_KEYS: list[BindingType] = [
    Binding("up,k", "cursor(-1)", "previous message", show=False, id="message.previous"),
    Binding("down,j", "cursor(1)", "next message", show=False, id="message.next"),
    Binding("pageup", "page(-1)", "page up", show=False, id="timeline.page_up"),
    Binding("pagedown", "page(1)", "page down", show=False, id="timeline.page_down"),
    Binding("home,g", "end(-1)", "oldest loaded message", show=False, id="timeline.first"),
    Binding("end,G", "end(1)", "newest message", show=False, id="timeline.last"),
    Binding("r", "act('reply')", "reply, or resend", show=False, id="message.reply"),
    Binding("t", "act('thread')", "open thread", show=False, id="message.thread"),
    Binding("e", "act('edit')", "edit", show=False, id="message.edit"),
    Binding("d", "act('delete')", "delete", show=False, id="message.delete"),
    Binding("plus", "act('react')", "react", show=False, id="message.react"),
    Binding("p", "act('pin')", "pin or unpin", show=False, id="message.pin"),
    Binding("enter", "act('author')", "menu of the author", show=False, id="message.author"),
    Binding("c", "act('copy')", "copy", show=False, id="message.copy"),
    Binding("o", "act('open')", "open link", show=False, id="message.open"),
    Binding("x", "act('discard')", "discard unsent message", show=False, id="message.discard"),
    Binding("escape", "leave", "return to the composer", show=False, id="message.leave"),
]
"""Letter keys act on the message under the cursor; without a cursor they are disabled."""

MESSAGE_ACTIONS = {
    each.action.removeprefix("act('").removesuffix("')"): each.id
    for each in TIMELINE_KEYS
    if isinstance(each, Binding) and each.id and each.action.startswith("act(")
}
"""Binding ids by the name of the action on a message."""


def _main_key(keys: str, action: str, help: str, id: str) -> Binding:
    return Binding(keys, action, help, show=False, id=id)


MAIN_KEYS: list[BindingType] = [
    _main_key("ctrl+k", "switch", "go to a channel or person, or run a command", "channel.switch"),
    _main_key("ctrl+p", "switch", "go to a channel or person, or run a command", "palette"),
    _main_key(
        "alt+a,ctrl+n",
        "unread",
        "next unread; when none is left, back where you were",
        "channel.unread",
    ),
    _main_key("alt+down", "go(1)", "next channel", "channel.next"),
    _main_key("alt+up", "go(-1)", "previous channel", "channel.previous"),
    _main_key("alt+left", "find('back')", "back in history", "channel.back"),
    _main_key("alt+right", "find('forward')", "forward in history", "channel.forward"),
    _main_key("alt+l", "find('last')", "switch to the previously viewed channel", "channel.last"),
    _main_key("alt+shift+up", "find('up')", "move this starred channel up", "channel.up"),
    _main_key("alt+shift+down", "find('down')", "move this starred channel down", "channel.down"),
    *(
        _main_key(f"alt+{n}", f"go_to({n})", f"channel {n} in the sidebar", f"channel.{n}")
        for n in range(1, 10)
    ),
    _main_key("alt+i", "find('inbox')", "inbox: unread messages in all channels", "reading.inbox"),
    _main_key("alt+s", "find('search')", "search, or return to the results", "reading.search"),
    _main_key("alt+k", "find('peek')", "toggle peek (do not mark as read)", "reading.peek"),
    _main_key("alt+u", "find('first_unread')", "first unread message", "reading.first_unread"),
    _main_key("alt+comma", "find('mention_before')", "previous mention", "reading.mention_before"),
    _main_key("alt+full_stop", "find('mention_after')", "next mention", "reading.mention_after"),
    _main_key("alt+t", "find('thread')", "switch between thread and channel", "thread.focus"),
    _main_key(
        "alt+j", "find('invitation')", "accept or decline an invitation", "channel.invitation"
    ),
    _main_key("ctrl+up", "focus_timeline", "select a message", "timeline.focus"),
    _main_key("ctrl+end", "bottom", "newest message", "timeline.bottom"),
    _main_key("f2", "toggle_pane('sidebar')", "show or hide the sidebar", "pane.sidebar"),
    _main_key("f3", "toggle_pane('members')", "show or hide the member list", "pane.members"),
    Binding("escape", "write", "return to the composer", show=False, priority=True),
]


ANYWHERE = "Anywhere"
_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
_TEXTUAL_KEYS = frozenset(str(key.value) for key in Keys)


def keys_of(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of keys."""
    return tuple(key.strip() for key in text.split(",") if key.strip())


def problems(groups: Mapping[str, Iterable[BindingType]], own: Mapping[str, str]) -> list[str]:
    """Return descriptions of the problems in a user's own keys.

    Args:
        groups: bindings by the part of the screen in which they apply; those of `Anywhere` apply in
            all. A binding without an id cannot be rebound, but can clash.
        own: the user's keys by binding id.
    """
    bound = {
        group: [each for each in bindings if isinstance(each, Binding)]
        for group, bindings in groups.items()
    }
    ids = [each.id for bindings in bound.values() for each in bindings if each.id]
    said = [_unknown(name, ids) for name in own if name not in ids]
    for name, text in own.items():
        said += [
            f"“{key}” is not a key ({name}); use a name such as ctrl+n, alt+up or f5"
            for key in keys_of(text)
            if not _is_key(key)
        ]
    for group, bindings in bound.items():
        others = bound.get(ANYWHERE, []) if group != ANYWHERE else []
        pairs = [*combinations(bindings, 2), *((a, b) for a in bindings for b in others)]
        said += [_clash(*pair, key) for pair in pairs for key in _shared(*pair, own)]
    return said


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+") if key != "+" else [key]
    if not _MODIFIERS.issuperset(modifiers):
        return False
    return len(last) == 1 or last in _TEXTUAL_KEYS or last.isidentifier()


def _keys(binding: Binding, own: Mapping[str, str]) -> tuple[str, ...]:
    return keys_of(own.get(binding.id or "", binding.key))


def _shared(one: Binding, other: Binding, own: Mapping[str, str]) -> list[str]:
    """Return the keys that both bindings have, if the user rebound either."""
    if one.id == other.id or not ({one.id, other.id} & own.keys()):
        return []
    return [key for key in _keys(one, own) if key in _keys(other, own)]


def _clash(one: Binding, other: Binding, key: str) -> str:
    first, second = (each.id or f"“{each.description}”" for each in (one, other))
    return f"{key_label(key)} is bound to both {first} and {second}; only one of them works"


def _unknown(name: str, ids: list[str]) -> str:
    near = get_close_matches(name, ids, n=1)
    hint = f"did you mean {near[0]}?" if near else "the help (F1) lists the actions"
    return f"unknown action name “{name}” ({hint})"


_DIGIT = re.compile(r"\d")
_KEY_LABELS = {
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
    """An action of the help: its group, the labels of its keys, and its description."""

    group: str
    keys: tuple[str, ...]
    help: str
    id: str


def key_label(key: str) -> str:
    """Return the label of a key: `Alt+↓` for `alt+down`."""
    *modifiers, last = key.split("+")
    if last in _KEY_LABELS:
        name = _KEY_LABELS[last]
    elif len(last) == 1 and not modifiers:
        name = last
    else:
        name = last.capitalize()
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def rows(
    groups: Mapping[str, Iterable[BindingType]], keymap: Mapping[str, str] | None = None
) -> list[KeyRow]:
    """Return the actions of `groups` that have an id; `keymap` has the user's keys by id."""
    own = keymap or {}
    found: list[KeyRow] = []
    for group, bindings in groups.items():
        for binding in bindings:
            if isinstance(binding, Binding) and binding.id and binding.description:
                keys = own.get(binding.id, binding.key).split(",")
                labels = tuple(key_label(key.strip()) for key in keys)
                found.append(KeyRow(group, labels, binding.description, binding.id))
    return found


_COMMANDS = {
    "help": "help",
    "bare": "pane.bare",
    "quit": "quit",
    "inbox": "reading.inbox",
    "search": "reading.search",
    "peek": "reading.peek",
    "unread": "reading.first_unread",
    "sidebar": "pane.sidebar",
    "members": "pane.members",
}
"""Ids of the bindings that do the same as a slash command, by the command's name."""


def keys_of_commands(rows: Iterable[KeyRow]) -> dict[str, str]:
    """Return the keys that do the same as slash commands, by the command's name."""
    keys = {row.id: row.keys[0] for row in rows}
    return {name: keys[row] for name, row in _COMMANDS.items() if row in keys}


def together(rows: Sequence[KeyRow]) -> list[KeyRow]:
    """Merge adjacent rows with the same help, or that differ only in a digit."""
    found: list[KeyRow] = []
    merged: list[KeyRow] = []
    for (group, action), same in groupby(rows, lambda row: (row.group, row.help)):
        each = list(same)
        keys = tuple(key for row in each for key in row.keys)
        merged.append(KeyRow(group, keys, action, ", ".join(row.id for row in each)))
    for _, run in groupby(merged, lambda row: _DIGIT.sub("0", f"{row.keys} {row.help} {row.id}")):
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
