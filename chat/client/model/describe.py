"""Format messages and events as plain text, for plain mode and scripts.

All text goes through `chat.text.printable`, because it may be printed on a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from chat.client.model.fold import SHOWN_KINDS, message_of
from chat.client.model.state import Message, counted_reactions
from chat.protocol.items import Event, Item
from chat.text import printable, printable_line

__all__ = ["describe", "describe_entry", "people"]

_INDENT = "\n    "


def describe(message: Message) -> str:
    """Return a line of a timeline; further lines of its text are indented."""
    author = printable_line(message.author)
    text = _set_in(message.text)
    match message.kind:
        case "message" if message.deleted:
            return f"{author}: (deleted)"
        case "message":
            line = f"* {author} {text}" if message.me else f"{author}: {text}"
            return line + _notes(message)
        case "topic":
            return f"{author} set the topic: {text}" if text else f"{author} cleared the topic"
        case "join" | "leave" as kind:
            return f"{author} {'joined' if kind == 'join' else 'left'}"
        case "role":
            return f"{author} changed {printable_line(message.user or '')}'s role to {text}"
        case "tick":
            return text
    return f"{author}: {printable_line(message.kind)}"


def describe_entry(channel: str, entry: Item | Event) -> str:
    """Return a log entry as a line; edits, deletions, reactions and pins are lines of their own."""
    if entry.kind in SHOWN_KINDS:
        return describe(message_of(channel, entry))
    author = printable_line(entry.author)
    match entry.kind:
        case "edit":
            text = "" if entry.text is None else f": {_set_in(entry.text)}"
            return f"{author} edited message {entry.target}{text}"
        case "delete":
            return f"{author} deleted message {entry.target}"
        case "react":
            emoji = printable_line(entry.emoji or "")
            if entry.remove:
                return f"{author} removed {emoji} from message {entry.target}"
            return f"{author} reacted with {emoji} to message {entry.target}"
        case "pin":
            return f"{author} {'unpinned' if entry.remove else 'pinned'} message {entry.target}"
    return f"{author}: {printable_line(entry.kind)}"


def people(names: Sequence[str], count: int) -> str:
    """Return `names` and the number of unnamed people among `count`: `ann, bob and 3 others`."""
    others = count - len(names)
    rest = "1 other" if others == 1 else f"{others:,} others"
    named = printable_line(", ".join(names))
    if others <= 0:
        return named
    return f"{named} and {rest}" if named else rest


def _set_in(text: str) -> str:
    return printable(text).replace("\n", _INDENT)


def _notes(message: Message) -> str:
    notes = []
    if message.reply_to is not None:
        notes.append(f"reply to message {message.reply_to}")
    if message.edited:
        notes.append("edited")
    if message.pinned:
        notes.append("pinned")
    for emoji, names, count in counted_reactions(message):
        notes.append(f"{printable_line(emoji)} {people(names, count)}")
    return f"  ({'; '.join(notes)})" if notes else ""
