"""The message cursor: where it may stand, and what may be asked of the message under it."""

from __future__ import annotations

from chat.client.state import Delivery, Message, is_for
from chat.client.tui.timeline.log import Log
from chat.text import fold

__all__ = ["may", "nearest", "next_mention", "stands_on"]

_STANDS_ON = frozenset({"message", "tick"})


def stands_on(message: Message) -> bool:
    """Whether the cursor may stand on a line: on messages, not on events."""
    return message.kind in _STANDS_ON


def nearest(log: Log, index: int, step: int) -> int | None:
    """Return the first line from `index` on, by `step`, on which the cursor may stand."""
    while 0 <= index < len(log):
        if stands_on(log[index]):
            return index
        index += step
    return None


def next_mention(log: Log, index: int, step: int, user: str) -> int | None:
    """Return the seq of the first message beyond `index`, by `step`, that mentions `user`."""
    index += step
    while 0 <= index < len(log):
        if is_for(log[index], user):
            return log[index].seq
        index += step
    return None


def may(name: str, message: Message, user: str) -> str | None:
    """Return the action that `name` means for a message, or None if it makes no sense.

    What is being sent, or could not be, can be sent again or discarded and nothing else; whether an
    owner may delete what others wrote is for the server to say.
    """
    if name == "copy":
        return None if message.erased else name
    if name == "thread" and message.seq is not None:
        return name if message.kind == "message" else None
    if message.delivery is not Delivery.SENT:
        if name == "reply":
            return "retry" if message.delivery is Delivery.FAILED else None
        return name if name == "discard" else None
    if message.seq is None or message.erased or message.kind != "message" or name == "discard":
        return None
    if name == "edit":
        return name if fold(message.author) == fold(user) else None
    return name
