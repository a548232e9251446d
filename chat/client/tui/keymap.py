"""A person's own keys: which of them cannot work as they are written, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import combinations

from textual.binding import Binding, BindingType
from textual.keys import Keys

from chat.client.tui.keys import key_label

__all__ = ["keys_of", "problems"]

ANYWHERE = "Anywhere"
_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
_NAMES = frozenset(str(key.value) for key in Keys)


def keys_of(text: str) -> tuple[str, ...]:
    """Return the keys that stand in `text`, with commas between them."""
    return tuple(key.strip() for key in text.split(",") if key.strip())


def problems(groups: Mapping[str, Iterable[BindingType]], own: Mapping[str, str]) -> list[str]:
    """Say what is wrong with a person's own keys; nothing, if each does what it should.

    Args:
        groups: the bindings by where they are to be had. Those of `Anywhere` meet all others; one
            without an id cannot be bound otherwise, but can be in the way.
        own: keys by the ids of the bindings.
    """
    bound = {
        group: [each for each in bindings if isinstance(each, Binding)]
        for group, bindings in groups.items()
    }
    ids = [each.id for bindings in bound.values() for each in bindings if each.id]
    said = [_unknown(name, ids) for name in own if name not in ids]
    for name, text in own.items():
        said += [
            f"“{key}” is no key; {name} wants names such as ctrl+n, alt+up or f5"
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
    return len(last) == 1 or last in _NAMES or last.isidentifier()


def _keys(binding: Binding, own: Mapping[str, str]) -> tuple[str, ...]:
    return keys_of(own.get(binding.id or "", binding.key))


def _shared(one: Binding, other: Binding, own: Mapping[str, str]) -> list[str]:
    """Return the keys that both have; only if the person had a hand in it."""
    if one.id == other.id or not ({one.id, other.id} & own.keys()):
        return []
    return [key for key in _keys(one, own) if key in _keys(other, own)]


def _clash(one: Binding, other: Binding, key: str) -> str:
    first, second = (each.id or f"“{each.description}”" for each in (one, other))
    return f"{key_label(key)} is the key of {first} and of {second}; only one of them works"


def _unknown(name: str, ids: list[str]) -> str:
    near = get_close_matches(name, ids, n=1)
    hint = f"; perhaps {near[0]}" if near else "; the help (F1) lists them all"
    return f"there is no action called “{name}”{hint}"
