"""The demo's script: the opening conversation and the bots' answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.text import fold

__all__ = ["BOT_NAMES", "OPENING", "Step", "answer_to"]

BOT_NAMES = ("ada", "grace")


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a bot; `about` is the index of an earlier step."""

    bot: str
    kind: Literal["say", "reply", "react", "edit", "topic", "delete"]
    text: str
    about: int = 0


OPENING: tuple[Step, ...] = (
    Step("ada", "topic", "A place to try things; deleted when you leave"),
    Step("ada", "say", "Welcome! This server is yours alone: nothing here leaves your computer."),
    Step("grace", "say", "Did anyone look at the nightly biuld?"),
    Step("grace", "edit", "Did anyone look at the nightly build?", about=2),
    Step(
        "ada",
        "reply",
        "It was the cache again:\n```python\ncache.clear()  # and all is well\n```",
        2,
    ),
    Step("grace", "react", "🎉", about=4),
    Step("ada", "react", "👍", about=2),
    Step("grace", "say", "Lunch at noon, *as always*?"),
    Step("grace", "say", "(wrong window, sorry)"),
    Step("grace", "delete", "", about=8),
    Step("ada", "say", "Say something: one of us answers. F1 lists the keys, `/` the commands."),
)
"""The conversation before the user arrives."""

_TIPS = (
    "Nice. Now press Ctrl+↑ to select a message, then `r` to reply or `+` to react.",
    "Try `/join #tea`, then Alt+← to come back here.",
    "`/edit` edits your last message; others see that it was edited.",
    "Write `/msg grace hello` and it stays between the two of you.",
    "Turn the Wi-Fi off, keep typing, turn it on again: your messages wait and are sent once.",
)


def answer_to(bot: str, text: str, turn: int, *, is_direct: bool) -> str:
    """Return the bot's answer; empty if this bot does not answer.

    Args:
        bot: the bot's name.
        text: the user's message.
        turn: the number of earlier messages.
        is_direct: whether the channel is direct.
    """
    if is_direct:
        return f"Just between us: “{text[:60]}” is safe with me."
    named = [name for name in BOT_NAMES if fold(name) in fold(text)]
    if named:
        return "You called?" if bot in named else ""
    if BOT_NAMES[turn % len(BOT_NAMES)] != bot:
        return ""
    return _TIPS[turn % len(_TIPS)]
