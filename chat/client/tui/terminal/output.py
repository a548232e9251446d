"""Keep characters of uncertain width from shifting what follows them.

A hand with a skin tone takes two cells in most terminals and four in others (tmux 3.3), a heart one
or two; what stands to the right of it would move, whole lists at the side with it. So its cells are
blanked, it is drawn over them, and the cursor goes where the next character belongs.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

from chat.client.tui.timeline.graphemes import isolate_clusters

__all__ = ["anchored"]

# Joiners, the sign that asks for an emoji, letters of flags, skin tones.
_DISPUTED = re.compile("[\u200d\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")
_TOKEN = re.compile(
    r"\x1b\[\d+;(?P<column>\d+)H"
    r"|(?P<still>\x1b\[[\d;]*m|\x1b\]8;[^\x07\x1b]*\x1b\\)"  # colors, hyperlinks
    r"|(?P<moves>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[^@-~]*[@-~]|\x1b.|[\r\n])"
    r"|(?P<text>[^\x1b\r\n]+)",
    re.DOTALL,
)


def anchored(output: str) -> str:
    """Return what is written to a terminal, with every disputed character held in its place."""
    if not _DISPUTED.search(output):
        return output
    parts: list[str] = []
    column: int | None = None  # where the cursor stands, if that is known
    for token in _TOKEN.finditer(output):
        text = token[0]
        if token["column"]:
            column = int(token["column"])
        elif token["moves"]:
            column = None
        elif token["text"] and column is not None:
            parts.append(_held(text, column))
            column += cell_len(text)
            continue
        parts.append(text)
    return "".join(parts)


def _held(text: str, column: int) -> str:
    if not _DISPUTED.search(text):
        return text
    parts: list[str] = []
    for part in isolate_clusters(text):
        width = cell_len(part)
        if _DISPUTED.search(part):
            blank, back, on = " " * width, f"\x1b[{column}G", f"\x1b[{column + width}G"
            part = blank + back + part + on
        parts.append(part)
        column += width
    return "".join(parts)
