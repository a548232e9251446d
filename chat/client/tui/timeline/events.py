"""Events in words: who came, who went, who changed what."""

from __future__ import annotations

from collections.abc import Sequence

from chat.client.state import Message
from chat.client.tui.timeline.cells import crop

__all__ = ["tell", "told"]

_MOST = 8
_NAME = 64
_COURSES = {
    ("join", "join"): "joined",
    ("leave", "leave"): "left",
    ("join", "leave"): "joined and left",
    ("leave", "join"): "left and came back",
}


def tell(message: Message) -> str:
    """Return one event as a sentence."""
    who, text = crop(message.author, _NAME), message.text.replace("\n", " ")
    if message.kind == "topic":
        return f"{who} set the topic: {text}" if text else f"{who} cleared the topic"
    if message.kind == "role":
        return f"{who} made {crop(message.user or '?', _NAME)} {text}"
    if message.kind in ("join", "leave"):
        return told([message])
    return " ".join(part for part in (who, crop(message.kind, _NAME), text) if part)


def told(messages: Sequence[Message]) -> str:
    """Return joins and leaves as one line: `alice, bob joined · carol left`."""
    courses: dict[str, tuple[str, str]] = {}
    for message in messages:
        first = courses.get(message.author, (message.kind, ""))[0]
        courses[message.author] = (first, message.kind)
    parts: list[str] = []
    for course, verb in _COURSES.items():
        names = [crop(name, _NAME) for name, found in courses.items() if found == course]
        if names:
            parts.append(f"{_listed(names)} {verb}")
    return " · ".join(parts)


def _listed(names: list[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[: _MOST - 1])} and {len(names) - _MOST + 1} others"
    return ", ".join(names)
