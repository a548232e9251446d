"""Format messages and events as plain text, for plain mode and scripts.

All text goes through `chat.text.printable`, because it may be printed on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from chat.client.model.fold import SHOWN_KINDS, message_of
from chat.client.model.state import (
    MembershipEnded,
    Message,
    Moderation,
)
from chat.durations import duration_text
from chat.text import printable, printable_line

if TYPE_CHECKING:
    from chat.protocol.items import Event, Item

__all__ = [
    "Moment",
    "describe",
    "describe_entry",
    "ending",
    "folded_ignored",
    "happening",
    "people",
    "setting_words",
]

_INDENT = "\n    "
Moment = Callable[[int], str]
"""Returns a time in milliseconds since 1970 as text, such as `Tue 14:05`."""


def describe(message: Message, moment: Moment) -> str:
    """Return a line of a timeline; further lines of its text are indented."""
    author = printable_line(message.author)
    text = _set_in(message.text)
    match message.kind:
        case "message" if message.deleted:
            return f"{author}: (deleted)"
        case "message":
            line = f"* {author} {text}" if message.me else f"{author}: {text}"
            return line + _notes(message)
        case "topic" if message.deleted:
            return f"{author} set the topic (deleted)"
        case "topic":
            return f"{author} set the topic: {text}" if text else f"{author} cleared the topic"
        case "tick":
            return text
    return happening(message, moment)


def happening(message: Message, moment: Moment) -> str:
    """Return what happened to members and settings, as a sentence without a full stop."""
    author = printable_line(message.author)
    if message.moderation is not None:
        return _moderated(message, message.moderation, moment)
    match message.kind:
        case "join":
            return f"{author} joined"
        case "leave":
            return f"{author} left"
        case "settings":
            return f"{author} {_settings(message.text)}"
    return f"{author}: {printable_line(message.kind)}"


_MODERATED = {"kick": "kicked", "ban": "banned", "mute": "muted"}


def _moderated(message: Message, done: Moderation, moment: Moment) -> str:
    by = printable_line(done.by)
    user = printable_line(message.author if message.kind == "leave" else done.user or "?")
    if done.act == "role":
        return _new_role(by, user, printable_line(message.text))
    if done.act == "lifted":
        return f"{by} lifted the {message.kind} of {user}"
    act = _MODERATED.get(done.act, "removed")
    until = f" until {moment(done.until)}" if done.until is not None else ""
    reason = f": {printable_line(done.reason)}" if done.reason else ""
    return f"{user} was {act} by {by}{until}{reason}"


def _new_role(author: str, user: str, role: str) -> str:
    if author == user:  # the former owner is gone
        return f"{user} is now the {role} of the channel"
    article = "the" if role == "owner" else "a"
    return f"{author} made {user} {article} {role}"


_SETTINGS: dict[str, dict[object, str]] = {
    "private": {True: "made the channel private"},
    "archived": {True: "archived the channel", False: "unarchived the channel"},
    "posting": {
        "moderators": "allowed only moderators to post",
        "everyone": "allowed everyone to post",
    },
    "invites": {
        "moderators": "allowed only moderators to invite people",
        "members": "allowed all members to invite people",
    },
    "topic": {
        "moderators": "allowed only moderators to set the topic",
        "members": "allowed all members to set the topic",
    },
    "pins": {
        "moderators": "allowed only moderators to pin messages",
        "members": "allowed all members to pin messages",
    },
}
"""What someone did who changed a setting, by its name and new value."""


def _settings(text: str) -> str:
    """Return what someone did who changed these settings, which are JSON."""
    try:
        changed = json.loads(text)
    except (ValueError, RecursionError):
        changed = {}
    words = setting_words(changed.items() if isinstance(changed, dict) else ())
    return ", ".join(words) or "changed the settings of the channel"


def setting_words(changed: Iterable[tuple[str, Any]]) -> list[str]:
    """Return what someone did who changed these settings, in words."""
    words = []
    for name, value in changed:
        if name == "retention" and isinstance(value, int):
            words.append(
                f"set the retention to {duration_text(value)}: older messages are deleted"
                if value
                else "reset the retention to the server's default"
            )
        elif isinstance(value, str | bool) and value in _SETTINGS.get(name, {}):
            words.append(_SETTINGS[name][value])
    return words


def describe_entry(channel: str, entry: Item | Event, moment: Moment) -> str:
    """Return a log entry as a line; edits, deletions, reactions and pins are lines of their own."""
    if entry.kind in SHOWN_KINDS:
        return describe(message_of(channel, entry), moment)
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
        case "expire":
            return f"The texts of all messages and topics up to {entry.up_to} have expired"
        case "deleted":
            return f"{author} deleted the channel"
    return f"{author}: {printable_line(entry.kind)}"


def ending(ended: MembershipEnded, moment: Moment) -> str:
    """Return how someone ended the user's membership of a channel, in a sentence."""
    by = ended.by or "a moderator"
    reason = f": {ended.reason}" if ended.reason else ""
    if ended.act == "deleted":
        return f"{ended.channel} was deleted by {by}{reason}."
    if ended.act == "kick":
        return f"You were removed from {ended.channel} by {by}{reason}."
    until = f" until {moment(ended.until)}" if ended.until is not None else ""
    return f"You were banned from {ended.channel} by {by}{until}{reason}."


def folded_ignored(messages: Sequence[Message]) -> str:
    """Return the line for consecutive messages of ignored users."""
    count = "1 message" if len(messages) == 1 else f"{len(messages):,} messages"
    names = dict.fromkeys(message.author for message in messages)
    return f"{count} from {people(list(names)[:3], len(names))} (ignored)"


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
        where = ", only in its thread" if message.thread_only else ""
        notes.append(f"reply to message {message.reply_to}{where}")
    if message.edited:
        notes.append("edited")
    if message.pinned:
        notes.append("pinned")
    notes += [
        f"{printable_line(each.emoji)} {people(each.names, each.count)}"
        for each in message.reactions
    ]
    return f"  ({'; '.join(notes)})" if notes else ""
