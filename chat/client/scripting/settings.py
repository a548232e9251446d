"""Settings of the scripting commands.

They are read like the interface's settings, so `CHAT_NAME` and the settings file also apply here.
Values for a single run (a channel, a text, a start) are arguments, never variables.
"""

from __future__ import annotations

from dataclasses import dataclass

from chat.client.config.flags import flags_of
from chat.client.config.options import option
from chat.client.config.settings import ClientSettings
from chat.text import is_number

__all__ = ["HIDDEN_FLAGS", "PipeSettings", "pipe_flags"]

HIDDEN_FLAGS = ("joins", "typing", "editing")
"""Flags without an effect here; they are accepted, as one line may serve both kinds of commands."""

_OF_SCREENS = ("emoji_names", "plain", "demo")
_OF_NOTIFICATIONS = ("notify", "notify_for", "keywords", "notify_command")
_LONGEST = 86_400.0


def _seconds(value: object) -> float:
    try:
        seconds = float(str(value)) if is_number(str(value)) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"must be a number of seconds above 0, up to {_LONGEST:,.0f}")
    return seconds


@dataclass(frozen=True)
class PipeSettings(ClientSettings):
    """Settings of all scripting commands."""

    timeout: float = option(30.0, _seconds, "Seconds without progress before giving up")


def pipe_flags() -> list[str]:
    """Return the settings with a flag here: all except those for screens and notifications."""
    others = (*_OF_SCREENS, *_OF_NOTIFICATIONS)
    return [name for name in flags_of(PipeSettings) if name not in others]
