"""Messages that the composer posts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from textual.message import Message

from chat.client.presenter.composer.completion import Completion
from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.navigation import PaneKey

__all__ = [
    "Dismissed",
    "EditorWanted",
    "ModeChanged",
    "Offered",
    "Pasted",
    "PreviewToggled",
    "Rewritten",
    "ScrollWanted",
    "Subject",
    "TypingPulse",
]


class Subject(NamedTuple):
    """The channel or thread to which a text belongs, and the drafts of its server."""

    drafts: Drafts
    key: PaneKey


@dataclass
class Offered(Message, namespace="composer"):
    """The completion candidates or the selected index changed; None: no candidates."""

    completion: Completion | None
    index: int


@dataclass
class Dismissed(Message, namespace="composer"):
    """Escape was pressed with no completion popup to close; `key` is the draft's."""

    key: PaneKey


class EditorWanted(Message, namespace="composer"):
    """The user asked to edit the text in $EDITOR."""


class PreviewToggled(Message, namespace="composer"):
    """The user toggled the preview."""


@dataclass
class ModeChanged(Message, namespace="composer"):
    """The vi mode changed; `mode` is its name and the keys of an unfinished command."""

    mode: str


@dataclass
class Pasted(Message, namespace="composer"):
    """A large paste needs confirmation; nothing was inserted."""

    text: str


@dataclass
class Rewritten(Message, namespace="composer"):
    """The text changed; `is_typed` if the user changed it here."""

    is_typed: bool


@dataclass
class ScrollWanted(Message, namespace="composer"):
    """The user asked to scroll the timeline by `pages`, up if negative."""

    pages: int


_EVERY = 3.0
"""Seconds between two `typing` commands; less than `EXPIRY` in `server/channels/typing.py`."""


class TypingPulse:
    """A rate limit of typing notifications.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent_at: float | None = None

    def beat(self) -> bool:
        """Note that text was typed; return whether to send a notification."""
        now = self._clock()
        if self._sent_at is not None and now - self._sent_at < _EVERY:
            return False
        self._sent_at = now
        return True

    def stop(self) -> bool:
        """Note that typing stopped; return whether to send a notification."""
        was_sent, self._sent_at = self._sent_at is not None, None
        return was_sent
