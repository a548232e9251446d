"""The composer's state: a new text, a reply, or an edit; and `s/old/new/`. Pure.

An answer and a change can be given up at any time; no step here throws text away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from chat.client.model.state import Message
from chat.client.storage.codec import line_from, line_json
from chat.client.storage.json_values import Misshapen
from chat.client.sync.core import Core
from chat.errors import ChatError

__all__ = [
    "Aim",
    "Draft",
    "DraftKey",
    "DraftStore",
    "Substitution",
    "check_length",
    "corrected",
    "read",
    "together",
]


_AIM = "draft-aim:"
"""How the preferences begin that say what drafts are for; the draft's key follows."""


class DraftKey(NamedTuple):
    """Where a text is written: in a channel (empty: in none yet), or in a thread of it.

    As text it is the name under which the draft is saved: no channel is called as a thread is.
    """

    channel: str
    thread: int | None = None
    """The number of the thread's root; None: in the channel itself."""

    def __str__(self) -> str:
        return self.channel if self.thread is None else f"{self.channel}/{self.thread}"


class Aim(StrEnum):
    """What becomes of the text when it is sent."""

    MESSAGE = "message"
    REPLY = "reply"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Draft:
    """Text, aim, the message that it answers or changes, and the text that a change put aside."""

    text: str = ""
    aim: Aim = Aim.MESSAGE
    message: Message | None = None
    aside: str = ""

    def replying(self, message: Message) -> Draft:
        """Answer `message` with the text that is there."""
        return replace(self.cancelled(), aim=Aim.REPLY, message=message)

    def editing(self, message: Message) -> Draft:
        """Change `message`; the text that is there waits."""
        before = self.cancelled()
        return Draft(message.text, Aim.EDIT, message, aside=before.text)

    def cancelled(self) -> Draft:
        """Give up the aim, not the text: a changed change stays, before what was put aside."""
        if self.aim is not Aim.EDIT or self.message is None:
            return Draft(self.text)
        if self.text.strip() in ("", self.message.text.strip()):
            return Draft(self.aside)
        return Draft(together(self.text, self.aside))

    def followed_by(self, other: Draft) -> Draft:
        """Return both texts as one draft: for what this one is for, or else for the other's aim."""
        if self.aim is Aim.MESSAGE:
            return replace(other, text=together(self.text, other.text))
        return replace(self, text=together(self.text, other.cancelled().text))


class DraftStore:
    """Drafts on disk.

    A draft that did not change is not written, so that a second client on the same file keeps its
    own. `Core.save_draft` holds the message text (while another message is edited: the text
    that was put aside), which every version of this client reads; a preference beside it holds
    what the draft is for.

    Args:
        is_used: whether there is a composer; without one (lines from a pipe) nothing is loaded
            or saved.
    """

    def __init__(self, core: Core, *, is_used: bool = True) -> None:
        self._core = core
        self._is_used = is_used
        self._known: dict[DraftKey, Draft] = {}

    def load(self, key: DraftKey) -> Draft:
        """Return the draft that was saved last, by any client."""
        if not self._is_used:
            return Draft()
        name = str(key)
        draft = _draft_from(self._core.draft(name), self._core.pref(_AIM + name))
        self._known[key] = draft
        return draft

    def save(self, key: DraftKey, draft: Draft) -> None:
        """Save a draft; an empty one is forgotten."""
        if self._is_used and draft != self._known.get(key, Draft()):
            self._known[key] = draft
            name, is_edit = str(key), draft.aim is Aim.EDIT
            self._core.save_draft(name, draft.aside if is_edit else draft.text)
            self._core.save_pref(_AIM + name, _aim_json(draft))


def _aim_json(draft: Draft) -> str:
    """Return what the draft is for; empty for a new message."""
    if draft.aim is Aim.MESSAGE or draft.message is None:
        return ""
    text = draft.text if draft.aim is Aim.EDIT else ""
    return json.dumps({"aim": draft.aim, "message": line_json(draft.message), "text": text})


def _draft_from(text: str, aim_json: str) -> Draft:
    """Return a draft as it was saved; an aim that cannot be read leaves the text alone."""
    try:
        fields = json.loads(aim_json) if aim_json else {}
        match fields:
            case {"aim": "reply", "message": str(line)}:
                return Draft(text, Aim.REPLY, line_from(line))
            case {"aim": "edit", "message": str(line), "text": str(edited)}:
                return Draft(edited, Aim.EDIT, line_from(line), aside=text)
    except (Misshapen, ValueError, RecursionError):
        pass
    return Draft(text)


def together(*texts: str) -> str:
    """Return texts as one, each on lines of its own."""
    return "\n".join(filter(None, texts))


def check_length(text: str, limit: int) -> None:
    """See that a text is no longer than the server takes.

    Args:
        text: what is to be sent.
        limit: most characters; 0 if no server has said yet (it will, and nothing is lost then).

    Raises:
        ChatError: it is longer; nothing was sent.
    """
    if limit and len(text) > limit:
        raise ChatError(
            f"Message too long: {len(text):,} characters, limit {limit:,}. Send it in parts."
        )


_FORM = re.compile(
    r"s/(?P<old>(?:[^/\\\n]|\\.)+)/(?P<new>(?:[^/\\\n]|\\.)*)(?:/(?P<flags>[gi]{0,2}))?"
)
_ESCAPED = re.compile(r"\\([/\\])")


@dataclass(frozen=True, slots=True)
class Substitution:
    """Replaces `old` by `new`, once or everywhere; plain text, no pattern."""

    old: str
    new: str
    everywhere: bool = False
    any_case: bool = False

    def apply(self, text: str) -> str | None:
        """Return the corrected text, None if `old` is not in it."""
        pattern = re.compile(re.escape(self.old), re.IGNORECASE if self.any_case else 0)
        count = 0 if self.everywhere else 1
        corrected, made = pattern.subn(lambda _: self.new, text, count=count)
        return corrected if made else None


def corrected(correction: Substitution, message: Message | None) -> str:
    """Return the text of one's last message, corrected.

    Raises:
        ChatError: there is no such message, or it does not hold what is to be replaced.
    """
    if message is None:
        raise ChatError("You have no message here to correct.")
    text = correction.apply(message.text)
    if text is None:
        raise ChatError(
            f"Your last message does not contain “{correction.old}”. To send this line as a "
            "message, start it with a space."
        )
    return text


def read(text: str) -> Substitution | None:
    r"""Return the correction that `text` is; None for any other text.

    The last slash may be left out; `\/` is a slash. Flags: `g` everywhere, `i` in any case.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or text[:1].isspace():
        return None
    old, new = (_ESCAPED.sub(r"\1", match[part]) for part in ("old", "new"))
    flags = match["flags"] or ""
    return Substitution(old, new, everywhere="g" in flags, any_case="i" in flags)
