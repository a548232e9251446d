"""Fold log events into messages: edits, deletions, reactions, and pins. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chat.client.model.state import Message
from chat.protocol.limits import REACTIONS_MAX
from chat.text import emoji_form

if TYPE_CHECKING:
    from chat.protocol.items import Event, Item

__all__ = ["SHOWN_KINDS", "Wanted", "fold", "merged", "message_of", "spelling_of"]

Reactions = tuple[tuple[str, tuple[str, ...]], ...]
"""Emoji with the names of those who reacted, the oldest emoji first."""

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

    An item of a page holds later changes; an event is as it was when it happened.
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
        return replace(common, deleted=True)
    if entry.kind != "message":
        return replace(common, text=entry.topic or entry.role or "")
    reactions = merged(getattr(entry, "reactions", {}).items())
    counts: dict[str, int] = getattr(entry, "reaction_counts", {})
    known = dict(reactions)
    return replace(
        common,
        text=entry.text or "",
        me=entry.me,
        reply_to=entry.reply_to,
        mentions=entry.mentions,
        edited=getattr(entry, "edited", False),
        pinned=getattr(entry, "pinned", False),
        reactions=reactions,
        reaction_counts=tuple((emoji, count) for emoji, count in counts.items() if emoji in known),
    )


def merged(reactions: Iterable[tuple[str, tuple[str, ...]]]) -> Reactions:
    """Return reactions with those that look the same as one, spelled as the first of them.

    An older server, and what was kept of it, tells them apart.
    """
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for emoji, names in reactions:
        form = emoji_form(emoji)
        if form in found:
            emoji, others = found[form]
            names = tuple(dict.fromkeys((*others, *names)))
        found[form] = emoji, names
    return tuple(found.values())


def spelling_of(emoji: str, present: Collection[str]) -> str:
    """Return which of the emoji that are `present` looks as `emoji` does; itself if none does."""
    if emoji in present:
        return emoji
    form = emoji_form(emoji)
    return next((each for each in present if emoji_form(each) == form), emoji)


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
            deleted=True,
            rev=change.seq,
        )
    if message.deleted or change.erased:
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
    emoji, author = spelling_of(change.emoji or "", names), change.author
    if emoji not in names and len(names) >= REACTIONS_MAX:
        return replace(message, rev=change.seq)
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
            (key, each) for key, each in counts.items() if each > len(names.get(key, ()))
        ),
        rev=change.seq,
    )
