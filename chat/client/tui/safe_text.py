"""Make foreign text safe for widgets: no control characters, no markup.

Names, topics, channels, errors, the server's name: all text from outside this program is turned
into `Content` here; only the timeline has a function of its own, `graphemes.sanitize`. Textual
would read square brackets as markup, and would let escape sequences through to the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from textual.content import Content

from chat.text import printable, printable_line

__all__ = ["elide", "line", "lines", "sendable", "show_emoji", "shown", "without_formats"]

_spell: Callable[[str], str] | None = None
_UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def show_emoji(by: Callable[[str], str] | None) -> None:
    """Choose how emoji are shown, everywhere and from now on: as they are, or as `by` spells them.

    It is a property of the terminal that this process draws on, so the process has one of it.
    """
    global _spell
    _spell = by


def shown(text: str) -> str:
    """Return foreign text as it may be drawn; line breaks and tabs stay."""
    text = printable(text)
    return text if _spell is None or text.isascii() else _spell(text)


def line(text: str, style: str = "") -> Content:
    """Return foreign text for one line."""
    return Content.styled(shown(printable_line(text)), style)


def lines(text: str, style: str = "") -> Content:
    """Return foreign text whose line breaks may stay."""
    return Content.styled(shown(text).expandtabs(4), style)


def elide(content: Content, width: int) -> Content:
    """Cut `content` to `width` cells, with an ellipsis where something is missing."""
    if content.cell_length <= width:
        return content
    return content.truncate(max(width, 0), ellipsis=True)


def sendable(text: str) -> str:
    r"""Return typed or pasted text as it may be sent: lines end in `\n`, nothing controls."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isprintable():
        return text
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    )


def without_formats(text: str) -> str:
    """Return what a person is writing as it may be drawn: no invisible formats but U+200D."""
    return "".join(
        char for char in text if char == "\u200d" or unicodedata.category(char) not in _UNDRAWN
    )
