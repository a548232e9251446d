"""Messages that the composer posts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from textual.message import Message

from chat.client.presenter.composer.completion import Completion
from chat.client.presenter.navigation import PaneKey

__all__ = [
    "Dismissed",
    "Drafted",
    "EditLastWanted",
    "EditorWanted",
    "ModeChanged",
    "Offered",
    "Pasted",
    "PreviewToggled",
    "Rewritten",
    "ScrollWanted",
    "Subject",
    "Submitted",
    "Typing",
    "TypingPulse",
]


class Subject(NamedTuple):
    """What a text is for: a channel or a thread of the server with that key."""

    server: int
    key: PaneKey


@dataclass
class Submitted(Message, namespace="composer"):
    """Enter was pressed: `text` is for `subject`, and has been taken out of the composer.

    The text is empty if there was none.
    """

    text: str
    subject: Subject


@dataclass
class Drafted(Message, namespace="composer"):
    """The text has changed and should be saved; told at most twice a second.

    It comes without the text, which may be another one when this is handled.
    """

    subject: Subject


@dataclass
class Typing(Message, namespace="composer"):
    """A message is being written here, or is no more."""

    active: bool
    subject: Subject


@dataclass
class Offered(Message, namespace="composer"):
    """The offers of completion, or the chosen one, are others now."""

    completion: Completion | None
    index: int


@dataclass
class Dismissed(Message, namespace="composer"):
    """Escape was pressed, and there was nothing to close here."""

    subject: Subject


@dataclass
class EditLastWanted(Message, namespace="composer"):
    """Up was pressed in an empty composer."""

    subject: Subject


class EditorWanted(Message, namespace="composer"):
    """The text shall be edited in the person's own editor."""


class PreviewToggled(Message, namespace="composer"):
    """The preview shall be shown, or no more."""


@dataclass
class ModeChanged(Message, namespace="composer"):
    """Keys mean something else now; `mode` says what, with the keys of an unfinished command."""

    mode: str


@dataclass
class Pasted(Message, namespace="composer"):
    """So much was pasted that the person should be asked; nothing was inserted."""

    text: str


@dataclass
class Rewritten(Message, namespace="composer"):
    """The text is another one; `is_typed` if a person changed it here."""

    is_typed: bool


@dataclass
class ScrollWanted(Message, namespace="composer"):
    """The timeline shall scroll by so many pages."""

    pages: int


_EVERY = 3.0
"""Seconds between two `typing` commands; less than `EXPIRY` in `server/channels/typing.py`."""


class TypingPulse:
    """Says of each change whether it is to be told.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_at: float | None = None

    def beat(self) -> bool:
        """Something was typed: whether others shall hear of it now."""
        now = self._clock()
        if self._told_at is not None and now - self._told_at < _EVERY:
            return False
        self._told_at = now
        return True

    def stop(self) -> bool:
        """Nothing is typed any more: whether others shall hear of it."""
        was_told, self._told_at = self._told_at is not None, None
        return was_told
