"""What lies in the composer for one channel: the text, and what it is for. Pure rules.

An answer and a change can be given up at any time; no step here throws text away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from chat.client.state import Message
from chat.errors import ChatError

__all__ = ["Aim", "Draft", "check_length", "together"]


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

    @property
    def kept(self) -> str:
        """What is worth keeping on disk: never the text of a change, whose original is safe."""
        return self.aside if self.aim is Aim.EDIT else self.text

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
            f"This is {len(text):,} characters long; a message may have {limit:,}. "
            "Send it in parts."
        )
