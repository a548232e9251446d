"""What the demo's bots say: the opening conversation and their answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.text import fold

__all__ = ["COMPANIONS", "OPENING", "Act", "answer_to"]

COMPANIONS = ("ada", "grace")


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a companion does; `about` is the place of another act in the script."""

    who: str
    kind: Literal["say", "reply", "react", "edit", "topic", "delete"]
    text: str
    about: int = 0


OPENING: tuple[Act, ...] = (
    Act("ada", "topic", "A place to try things; it is gone when you leave"),
    Act("ada", "say", "Welcome! This server is yours alone: nothing here leaves your computer."),
    Act("grace", "say", "Did anyone look at the nightly biuld?"),
    Act("grace", "edit", "Did anyone look at the nightly build?", about=2),
    Act(
        "ada",
        "reply",
        "It was the cache again:\n```python\ncache.clear()  # and all is well\n```",
        2,
    ),
    Act("grace", "react", "🎉", about=4),
    Act("ada", "react", "👍", about=2),
    Act("grace", "say", "Lunch at noon, *as always*?"),
    Act("grace", "say", "(wrong window, sorry)"),
    Act("grace", "delete", "", about=8),
    Act("ada", "say", "Say something: one of us answers. F1 lists the keys, `/` the commands."),
)
"""What was said before the person came."""

_TRIES = (
    "Nice. Now press Ctrl+↑ to select a message, then `r` to reply or `+` to react.",
    "Try `/join #tea`, then Alt+← to come back here.",
    "`/edit` edits your last message; others see that it was edited.",
    "Write `/msg grace hello` and it stays between the two of you.",
    "Turn the Wi-Fi off, keep typing, turn it on again: your messages wait and are sent once.",
)


def answer_to(companion: str, text: str, turn: int, *, is_direct: bool) -> str:
    """Return what `companion` answers; empty: the other one does, or nobody.

    Args:
        companion: who is asked.
        text: what was said.
        turn: how many messages the person has sent before.
        is_direct: whether only the two can read it.
    """
    if is_direct:
        return f"Just between us: “{text[:60]}” is safe with me."
    named = [name for name in COMPANIONS if fold(name) in fold(text)]
    if named:
        return "You called?" if companion in named else ""
    if COMPANIONS[turn % len(COMPANIONS)] != companion:
        return ""
    return _TRIES[turn % len(_TRIES)]
