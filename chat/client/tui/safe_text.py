"""Make foreign text safe for widgets: no control characters, no markup.

All text from outside this program, such as names, topics and errors, is converted to `Content`
here, except in the timeline, which uses `graphemes.sanitize`. Textual would parse square brackets
as markup, and would pass escape sequences through to the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from rich.cells import cell_len
from textual.content import Content

from chat.text import printable, printable_line

__all__ = [
    "elide",
    "first_fitting",
    "kind_signs",
    "line",
    "lines",
    "sendable",
    "show_emoji",
    "shown",
    "without_formats",
]

_spell: Callable[[str], str] | None = None
_UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def show_emoji(by: Callable[[str], str] | None) -> None:
    """Show emoji as spelled by `by` from now on; None: unchanged.

    The setting is global because it depends on the terminal of this process.
    """
    global _spell
    _spell = by


_KINDS = {"private": ("🔒", "*"), "archived": ("📦", "-"), "announcements": ("📢", "!")}
"""Signs of channels; the second ones are for terminals that cannot draw emoji."""


def kind_signs(kinds: Iterable[str]) -> str:
    """Return the signs of a private, an archived or an announcement channel; empty for others."""
    return "".join(_KINDS[kind][_spell is not None] for kind in kinds)


def shown(text: str) -> str:
    """Return foreign text safe to draw; line breaks and tabs are kept."""
    text = printable(text)
    return text if _spell is None or text.isascii() else _spell(text)


def line(text: str, style: str = "") -> Content:
    """Return foreign text as content of one line."""
    return Content.styled(shown(printable_line(text)), style)


def lines(text: str, style: str = "") -> Content:
    """Return foreign text as content; line breaks are kept."""
    return Content.styled(shown(text).expandtabs(4), style)


def first_fitting(width: int, *texts: str) -> str:
    """Return the first of some texts that fits into `width` cells, or the last."""
    return next((text for text in texts if cell_len(text) <= width), texts[-1])


def elide(content: Content, width: int) -> Content:
    """Truncate `content` to `width` cells, with an ellipsis if it was longer."""
    if content.cell_length <= width:
        return content
    return content.truncate(max(width, 0), ellipsis=True)


def sendable(text: str) -> str:
    r"""Return typed or pasted text with `\n` line ends and without control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isprintable():
        return text
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    )


def without_formats(text: str) -> str:
    """Return typed text without invisible format characters, except U+200D."""
    return "".join(
        char for char in text if char == "\u200d" or unicodedata.category(char) not in _UNDRAWN
    )
