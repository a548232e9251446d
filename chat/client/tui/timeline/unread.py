"""Where the unread rule stands."""

from __future__ import annotations

from chat.client.state import Message, TimelineChanged
from chat.client.tui.timeline.log import Key, Log
from chat.text import fold

__all__ = ["first_unread", "is_live"]

_WALK = 500


def first_unread(log: Log, seq: int, user: str) -> Key | None:
    """Return the line for the rule: the first message of somebody else from `seq` on.

    None if there is none near, or if nothing above it is loaded.
    """
    start = log.index_from(seq)
    for index in range(start, min(len(log), start + _WALK) if start else 0):
        message = log[index]
        if _counts(message, user):
            return message.seq
    return None


def is_live(change: TimelineChanged) -> bool:
    """Whether an update tells what happens now, rather than what was missed; no clock knows."""
    return not change.reset and bool(change.upserts) and not change.missed


def _counts(message: Message, user: str) -> bool:
    return (
        message.seq is not None
        and message.kind == "message"
        and not message.erased
        and fold(message.author) != fold(user)
    )
