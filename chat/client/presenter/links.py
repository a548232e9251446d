"""Links of messages: finding them, and whether one can be opened without harm to the terminal."""

from __future__ import annotations

import os
import sys

from chat.client.presenter.markdown import blocks, inline

__all__ = ["can_open", "links_of"]


def links_of(text: str) -> list[str]:
    """Return the links of a message as it is shown, each once; code has none."""
    spans = (span for block in blocks(text) if block.kind != "code" for span in inline(block.text))
    return list(dict.fromkeys(span.url for span in spans if span.url))


def can_open() -> bool:
    """Whether there is a desktop with a browser: a text browser would take this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
