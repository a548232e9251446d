"""`s/old/new/`: a correction of one's last message, in the words people know from `sed`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chat.client.state import Message
from chat.errors import ChatError

__all__ = ["Substitution", "corrected", "read"]

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
        raise ChatError("There is no message of yours here that could be corrected.")
    text = correction.apply(message.text)
    if text is None:
        raise ChatError(
            f"“{correction.old}” is not in your last message. To send the line as it is, put a "
            "space before it."
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
