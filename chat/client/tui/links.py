"""Links of messages: finding the first, and opening one without leaving the terminal in a mess."""

from __future__ import annotations

import os
import re
import sys

__all__ = ["can_open", "first_link", "is_web_link"]

_LINK = re.compile(r"https?://[^\s<>\"'`\x00-\x20\x7f-\x9f]+", re.IGNORECASE)


def first_link(text: str) -> str | None:
    """Return the first web link of a text, without the sentence's punctuation after it."""
    match = _LINK.search(text)
    return match[0].rstrip(".,;:!?)]}") if match else None


def is_web_link(url: str) -> bool:
    """Whether it leads to the web and nowhere else: no file, no script, no other program."""
    return _LINK.fullmatch(url) is not None


def can_open() -> bool:
    """Whether there is a desktop with a browser: a text browser would take this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
