"""One draft: its text, whether it is a new message, a reply or an edit, and where it is saved."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from chat.client.model.state import Message
from chat.client.presenter.navigation import PaneKey
from chat.client.storage.codec import line_from, line_json
from chat.client.storage.json_values import InvalidValue
from chat.client.sync.core import Core
from chat.errors import ChatError

__all__ = [
    "Aim",
    "Draft",
    "DraftStore",
    "check_length",
    "join_texts",
]


_AIM = "draft-aim:"
"""Prefix of the preference that stores a draft's aim; the draft's name follows."""


class Aim(StrEnum):
    """What Enter does with the text: send it, send it as a reply, or edit a message."""

    MESSAGE = "message"
    REPLY = "reply"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Draft:
    """A text with its aim.

    Attributes:
        message: the message that is replied to or edited.
        aside: the text that an edit has replaced; it returns after the edit.
        in_channel: whether a reply also appears in the channel's timeline; not saved.
    """

    text: str = ""
    aim: Aim = Aim.MESSAGE
    message: Message | None = None
    aside: str = ""
    in_channel: bool = False

    def replying(self, message: Message) -> Draft:
        """Return the draft as a reply to `message`."""
        return replace(self.cancelled(), aim=Aim.REPLY, message=message)

    def editing(self, message: Message) -> Draft:
        """Return an edit of `message`; the current text becomes `aside`."""
        before = self.cancelled()
        return Draft(message.text, Aim.EDIT, message, aside=before.text)

    def cancelled(self) -> Draft:
        """Return the draft as a new message: the text of the edit, then `aside`."""
        if self.aim is not Aim.EDIT or self.message is None:
            return Draft(self.text)
        if self.text.strip() in ("", self.message.text.strip()):
            return Draft(self.aside)
        return Draft(join_texts(self.text, self.aside))

    def followed_by(self, other: Draft) -> Draft:
        """Return both texts as one draft, with this draft's aim, or else the other's."""
        if self.aim is Aim.MESSAGE:
            return replace(other, text=join_texts(self.text, other.text))
        return replace(self, text=join_texts(self.text, other.cancelled().text))


class DraftStore:
    """Drafts on disk.

    An unchanged draft is not written, so that a second client on the same file keeps its own.
    `Core.save_draft` stores the text (during an edit: the text put aside), which older clients
    read too. A preference beside it stores the aim, and the text of an edit.

    Args:
        is_used: False for piped input, which has no composer: nothing is loaded or saved.
    """

    def __init__(self, core: Core, *, is_used: bool = True) -> None:
        self._core = core
        self._is_used = is_used
        self._known: dict[PaneKey, Draft] = {}

    def load(self, key: PaneKey) -> Draft:
        """Return the saved draft; another client on the same file may have saved it."""
        if not self._is_used:
            return Draft()
        name = str(key)
        draft = _draft_from(self._core.draft(name), self._core.pref(_AIM + name))
        self._known[key] = draft
        return draft

    def save(self, key: PaneKey, draft: Draft) -> None:
        """Save a draft; an empty one is deleted."""
        if self._is_used and draft != self._known.get(key, Draft()):
            self._known[key] = draft
            name, is_edit = str(key), draft.aim is Aim.EDIT
            self._core.save_draft(name, draft.aside if is_edit else draft.text)
            self._core.save_pref(_AIM + name, _aim_json(draft))


def _aim_json(draft: Draft) -> str:
    """Encode the aim as JSON; empty for a new message."""
    if draft.aim is Aim.MESSAGE or draft.message is None:
        return ""
    text = draft.text if draft.aim is Aim.EDIT else ""
    return json.dumps({"aim": draft.aim, "message": line_json(draft.message), "text": text})


def _draft_from(text: str, aim_json: str) -> Draft:
    """Decode a saved draft; with an unreadable aim, the text is a new message."""
    try:
        fields = json.loads(aim_json) if aim_json else {}
        match fields:
            case {"aim": "reply", "message": str(line)}:
                return Draft(text, Aim.REPLY, line_from(line))
            case {"aim": "edit", "message": str(line), "text": str(edited)}:
                return Draft(edited, Aim.EDIT, line_from(line), aside=text)
    except (InvalidValue, ValueError, RecursionError):
        pass
    return Draft(text)


def join_texts(*texts: str) -> str:
    """Join the nonempty texts with line breaks."""
    return "\n".join(filter(None, texts))


def check_length(text: str, limit: int) -> None:
    """Check that a text is no longer than the server accepts.

    Args:
        text: the message to send.
        limit: maximum characters; 0 before the server has sent its limit.

    Raises:
        ChatError: the text is longer.
    """
    if limit and len(text) > limit:
        raise ChatError(
            f"Message too long: {len(text):,} characters, limit {limit:,}. Send it in parts."
        )
