"""How the log's entries become lines, and how edits, deletions, reactions and pins change them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chat.client.state import Message

if TYPE_CHECKING:
    from chat.protocol.items import Event, Item

__all__ = ["SHOWN_KINDS", "Wanted", "fold", "message_of"]

SHOWN_KINDS: frozenset[str] = frozenset({"message", "topic", "join", "leave", "role"})
"""Kinds that are lines of a timeline; all others only advance the position."""

NAMES_KEPT = 20
"""Most people of one emoji who are named as their reactions come; the others are counted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One's own change of a line that is still on its way: what `fold` needs of an event."""

    seq: int
    author: str
    kind: str
    text: str | None = None
    emoji: str | None = None
    remove: bool = False
    mentions: tuple[str, ...] = ()
    erased: bool = False


def message_of(channel: str, entry: Item | Event) -> Message:
    """Return the line that `entry` of `channel` shows; its kind must be one of `SHOWN_KINDS`.

    What has become of it since, an item of a page tells; an event is as it was when it happened.
    """
    rev: int = getattr(entry, "rev", entry.seq)
    common = Message(
        channel=channel,
        seq=entry.seq,
        cid=entry.cid,
        author=entry.author,
        ts=entry.ts,
        kind=entry.kind,
        thread=entry.thread,
        user=entry.user,
        # Mostly the same number, and then the same object: 3 MB of 100,000 lines.
        rev=entry.seq if rev == entry.seq else rev,
    )
    if entry.kind == "message" and entry.text is None:
        return replace(common, erased=True)
    if entry.kind != "message":
        return replace(common, text=entry.topic or entry.role or "")
    return replace(
        common,
        text=entry.text or "",
        me=entry.me,
        reply_to=entry.reply_to,
        mentions=entry.mentions,
        edited=getattr(entry, "edited", False),
        pinned=getattr(entry, "pinned", False),
        reactions=tuple(getattr(entry, "reactions", {}).items()),
        reaction_counts=tuple(getattr(entry, "reaction_counts", {}).items()),
    )


def fold(message: Message, change: Item | Event | Wanted, me: str) -> Message:
    """Return `message` as it is after `change`, which targets it; the same if it is in already.

    `me` is named among those who reacted, however many these are.
    """
    if change.seq <= message.rev:
        return message
    if change.kind == "delete":
        return replace(
            message,
            text="",
            me=False,
            reply_to=None,
            mentions=(),
            reactions=(),
            reaction_counts=(),
            edited=False,
            pinned=False,
            erased=True,
            rev=change.seq,
        )
    if message.erased or change.erased:
        # Of a deleted message nothing changes any more; a change without its body was overtaken by
        # an edit or a deletion further on in the log.
        return replace(message, rev=change.seq)
    if change.kind == "edit":
        return replace(
            message,
            text=change.text or "",
            mentions=change.mentions,
            edited=True,
            rev=change.seq,
        )
    if change.kind == "pin":
        return replace(message, pinned=not change.remove, rev=change.seq)
    return _react(message, change, me)


def _react(message: Message, change: Item | Event | Wanted, me: str) -> Message:
    names, counts = dict(message.reactions), dict(message.reaction_counts)
    emoji, author = change.emoji or "", change.author
    known = names.get(emoji, ())
    count = counts.get(emoji, len(known))
    if change.remove:
        count -= author in known or emoji in counts  # there it is one of those without a name
        known = tuple(name for name in known if name != author)
    elif author not in known:
        count += 1
        if len(known) < NAMES_KEPT or author == me:
            known = (*known, author)
    names[emoji], counts[emoji] = known, count
    return replace(
        message,
        reactions=tuple((key, who) for key, who in names.items() if who or counts.get(key, 0) > 0),
        reaction_counts=tuple(
            (key, each) for key, each in counts.items() if each > len(names[key])
        ),
        rev=change.seq,
    )
