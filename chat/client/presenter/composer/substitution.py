"""Correct the last message with `s/old/new/`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chat.client.model.state import Message
from chat.errors import ChatError

__all__ = ["Substitution", "corrected", "parse"]

_FORM = re.compile(
    r"s/(?P<old>(?:[^/\\\n]|\\.)+)/(?P<new>(?:[^/\\\n]|\\.)*)(?:/(?P<flags>[gi]{0,2}))?"
)
_ESCAPED = re.compile(r"\\([/\\])")


@dataclass(frozen=True, slots=True)
class Substitution:
    """A replacement of `old` by `new`, both plain text."""

    old: str
    new: str
    is_global: bool = False
    ignores_case: bool = False

    def apply(self, text: str) -> str | None:
        """Return the new text; None if `text` does not contain `old`."""
        pattern = re.compile(re.escape(self.old), re.IGNORECASE if self.ignores_case else 0)
        count = 0 if self.is_global else 1
        corrected, made = pattern.subn(lambda _: self.new, text, count=count)
        return corrected if made else None


def corrected(correction: Substitution, message: Message | None) -> str:
    """Return the text of the user's last message with the correction applied.

    Raises:
        ChatError: there is no such message, or it does not contain the old text.
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


def parse(text: str) -> Substitution | None:
    r"""Parse `s/old/new/flags`; return None for any other text.

    The last slash is optional; `\/` is a slash. Flags: `g` replaces all, `i` ignores case.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or text[:1].isspace():
        return None
    old, new = (_ESCAPED.sub(r"\1", match[part]) for part in ("old", "new"))
    flags = match["flags"] or ""
    return Substitution(old, new, is_global="g" in flags, ignores_case="i" in flags)
