"""Links of messages: finding them, and opening one without leaving the terminal in a mess."""

from __future__ import annotations

import os
import re
import sys

__all__ = ["can_open", "is_web_link", "links_of"]

_LINK = re.compile(r"https?://[^\s<>\"'`\x00-\x20\x7f-\x9f]+", re.IGNORECASE)


def links_of(text: str) -> list[str]:
    """Return the web links of a text, each once, without the sentence's punctuation after it."""
    return list(dict.fromkeys(link.rstrip(".,;:!?)]}") for link in _LINK.findall(text)))


def is_web_link(url: str) -> bool:
    """Whether it leads to the web and nowhere else: no file, no script, no other program."""
    return _LINK.fullmatch(url) is not None


def can_open() -> bool:
    """Whether there is a desktop with a browser: a text browser would take this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
