"""The demo's script: the opening conversation and the bots' answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.text import GENERAL, fold

__all__ = ["BOT_NAMES", "GARDEN", "HOSTS", "OPENING", "Step", "answer_to"]

HOSTS = ("ada", "grace")
"""The bots that answer."""
BOT_NAMES = (*HOSTS, "max")
GARDEN = "#garden"
"""The private channel, where a moderator is at work; the user is invited to it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a bot.

    Args:
        bot: the bot that acts.
        kind: what it does.
        text: a message, an emoji, a topic, or the reason that a moderator gives.
        about: the index of an earlier step, whose message is meant.
        channel: where it happens.
        user: whom it concerns.
    """

    bot: str
    kind: Literal[
        "say",
        "reply",
        "react",
        "edit",
        "topic",
        "delete",
        "create",
        "invite",
        "join",
        "promote",
        "mute",
        "kick",
    ]
    text: str = ""
    about: int = 0
    channel: str = GENERAL
    user: str = ""


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
    Step("ada", "create", "For invited people only", channel=GARDEN),
    Step("ada", "invite", channel=GARDEN, user="grace"),
    Step("ada", "invite", channel=GARDEN, user="max"),
    Step("grace", "join", channel=GARDEN),
    Step("max", "join", channel=GARDEN),
    Step("ada", "promote", channel=GARDEN, user="grace"),
    Step("grace", "say", "The tomatoes are ripe.", channel=GARDEN),
    Step("max", "say", "BUY SEEDS NOW!!! seeds.example", channel=GARDEN),
    Step("grace", "mute", "no ads, please", channel=GARDEN, user="max"),
    Step("grace", "delete", about=17, channel=GARDEN),
    Step("grace", "kick", "no ads, please", channel=GARDEN, user="max"),
    Step("ada", "say", "Thank you, grace.", channel=GARDEN),
    Step("ada", "say", "Say something: one of us answers. F1 lists the keys, `/` the commands."),
)
"""The conversation before the user arrives."""

_TIPS = (
    "Nice. Now press Ctrl+↑ to select a message, then `r` to reply or `+` to react.",
    "Try `/join #tea`, then Alt+← to come back here.",
    "`/edit` edits your last message; others see that it was edited.",
    "Write `/msg grace hello` and it stays between the two of you.",
    "You are invited to a private channel: `/accept #garden`.",
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
    if bot not in HOSTS:
        return ""
    named = [name for name in HOSTS if fold(name) in fold(text)]
    if named:
        return "You called?" if bot in named else ""
    if HOSTS[turn % len(HOSTS)] != bot:
        return ""
    return _TIPS[turn % len(_TIPS)]
