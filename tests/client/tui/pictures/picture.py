"""Whole screens as text: readable in a diff, and the same on all machines.

A picture has three parts: the text, a letter for the style of each cell, and the styles of the
letters. The SVG files of `pytest-textual-snapshot` are no alternative: every line contains a hash,
so a diff does not show what has changed.
"""

from __future__ import annotations

import os
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

from rich.cells import cell_len
from rich.style import Style
from textual.app import App
from textual.strip import Strip

__all__ = ["assert_looks", "picture", "strips"]

# Read at import: the tests of the client run without these variables.
_IS_UPDATING = os.environ.get("CHAT_UPDATE_PICTURES") == "1"
_IMAGES = os.environ.get("CHAT_PICTURES")
_FOLDER = Path(__file__).parent
_LETTERS = string.ascii_letters + string.digits
_MARKS = ("bold", "dim", "italic", "underline", "strike", "reverse")


def assert_looks(app: App[Any], name: str) -> None:
    """Compare the screen with the file `name`; with CHAT_UPDATE_PICTURES=1, write the file.

    With CHAT_PICTURES=FOLDER, also save an SVG image there.
    """
    if _IMAGES:
        Path(_IMAGES, f"{name}.svg").write_text(app.export_screenshot(title=name), "utf-8")
    file, now = _FOLDER / f"{name}.txt", picture(app)
    if _IS_UPDATING:
        file.write_text(now, "utf-8")
    assert now == file.read_text("utf-8"), (
        f"{name} looks different: run this test with CHAT_UPDATE_PICTURES=1 and read the diff"
    )


def strips(app: App[Any]) -> list[Strip]:
    """Return the rows of the topmost screen, as they are written to the terminal."""
    return app.screen._compositor.render_strips()  # noqa: SLF001 - Textual offers no other way


def picture(app: App[Any]) -> str:
    """Return the picture of the topmost screen."""
    rows = strips(app)
    styles = {_told(style) for strip in rows for _, style, _ in strip if style is not None}
    letters = _lettered(styles)
    marks = (
        "".join(letters[_told(style or Style.null())] * cell_len(text) for text, style, _ in strip)
        for strip in rows
    )
    parts = (
        (strip.text.rstrip() for strip in rows),
        marks,
        (f"{letter}  {told}" for told, letter in sorted(letters.items(), key=lambda each: each[1])),
    )
    return "\n".join("\n".join([*part, ""]) for part in parts)


def _told(style: Style) -> str:
    """Return the description of a style: attributes, color and background."""
    marks = [mark for mark in _MARKS if getattr(style, mark)]
    ink, ground = (
        color.name if color is not None else "default" for color in (style.color, style.bgcolor)
    )
    return " ".join([*marks, ink, "on", ground])


def _lettered(styles: Iterable[str]) -> dict[str, str]:
    """Assign a letter to each style, usually the same one: a new style changes few lines."""
    letters: dict[str, str] = {}
    for style in sorted(styles):
        start = crc32(style.encode()) % len(_LETTERS)
        wanted = _LETTERS[start:] + _LETTERS[:start]
        letters[style] = next(letter for letter in wanted if letter not in letters.values())
    return letters
