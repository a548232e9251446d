"""Settings of the commands: those of the client, and a few of their own.

They are read like all the client's settings, so that `CHAT_NAME` and the settings file count here
too. What only one call is about (a channel, a text, where to begin) is an argument, never a
variable.
"""

from __future__ import annotations

from pydantic import Field
from pydantic.fields import FieldInfo

from chat.client.config import ClientSettings, flags_of

__all__ = ["PipeSettings", "pipe_flags"]

_OF_SCREENS = ("emoji_names", "plain", "demo")
_OF_CALLS = ("notify", "notify_for", "keywords", "notify_command")


class PipeSettings(ClientSettings):
    """What every command without a screen may be told."""

    timeout: float = Field(30.0, gt=0, le=86_400)
    """Seconds to wait without anything being achieved, before giving up."""


def pipe_flags() -> dict[str, FieldInfo]:
    """Return the settings that are flags of the commands: not those of looks and calls."""
    return {
        name: field
        for name, field in flags_of(PipeSettings).items()
        if name not in (*_OF_SCREENS, *_OF_CALLS)
    }
