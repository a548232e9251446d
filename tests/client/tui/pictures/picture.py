"""Whole screens as text that a reviewer can read in a diff, and that is the same on all machines.

Three parts: what stands there; which style each cell has, one letter for each; what the letters
mean. SVG files, as `pytest-textual-snapshot` keeps them, change in every line with a hash and hide
from a reader what has changed; two pages of our own are cheaper than one more dependency.
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

# Read now: no test of the client sees such variables.
_IS_UPDATING = os.environ.get("CHAT_UPDATE_PICTURES") == "1"
_IMAGES = os.environ.get("CHAT_PICTURES")
_FOLDER = Path(__file__).parent
_LETTERS = string.ascii_letters + string.digits
_MARKS = ("bold", "dim", "italic", "underline", "strike", "reverse")


def assert_looks(app: App[Any], name: str) -> None:
    """Check that the screen looks as in the file `name`; with CHAT_UPDATE_PICTURES=1 write it.

    With CHAT_PICTURES=FOLDER, save it there as an SVG image too, to be looked at.
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
    """Return the rows of the screen on top, as they are written to the terminal."""
    return app.screen._compositor.render_strips()  # noqa: SLF001 - Textual offers no other way


def picture(app: App[Any]) -> str:
    """Return the screen on top as text."""
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
    """Return a style in words."""
    marks = [mark for mark in _MARKS if getattr(style, mark)]
    ink, ground = (
        color.name if color is not None else "default" for color in (style.color, style.bgcolor)
    )
    return " ".join([*marks, ink, "on", ground])


def _lettered(styles: Iterable[str]) -> dict[str, str]:
    """Give each style a letter, nearly always the same one: a new style changes few lines."""
    letters: dict[str, str] = {}
    for style in sorted(styles):
        start = crc32(style.encode()) % len(_LETTERS)
        wanted = _LETTERS[start:] + _LETTERS[:start]
        letters[style] = next(letter for letter in wanted if letter not in letters.values())
    return letters
