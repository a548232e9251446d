"""What a composer tells whoever embeds it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from chat.client.presenter.completing import Completion
from chat.client.presenter.spots import Spot

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
    "Submitted",
    "Typing",
]


@dataclass
class Submitted(Message, namespace="composer"):
    """Enter was pressed: `text` is for `subject`, and has been taken out of the composer."""

    text: str
    subject: Spot


@dataclass
class Drafted(Message, namespace="composer"):
    """The text has changed and should be saved; told at most twice a second."""

    text: str
    subject: Spot


@dataclass
class Typing(Message, namespace="composer"):
    """A message is being written here, or is no more."""

    active: bool
    subject: Spot


@dataclass
class Offered(Message, namespace="composer"):
    """The offers of completion, or the chosen one, are others now."""

    completion: Completion | None
    index: int


class Dismissed(Message, namespace="composer"):
    """Escape was pressed, and there was nothing to close here."""


class EditLastWanted(Message, namespace="composer"):
    """Up was pressed in an empty composer."""


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
