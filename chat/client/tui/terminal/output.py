"""Keep characters of uncertain width from shifting what follows them.

An emoji with a skin tone takes two cells in most terminals and four in others (tmux 3.3), a heart
one or two, which would shift the rest of the row. So the cells are blanked, the character is drawn
over them, and the cursor moves to the column of the next character.
"""

from __future__ import annotations

import re

from rich.cells import cell_len

from chat.client.tui.timeline.graphemes import isolate_clusters

__all__ = ["anchored"]

# Zero-width joiner, emoji variation selector, regional indicators (flags), skin tones.
_DISPUTED = re.compile("[\u200d\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")
_TOKEN = re.compile(
    r"\x1b\[\d+;(?P<column>\d+)H"
    r"|(?P<still>\x1b\[[\d;]*m|\x1b\]8;[^\x07\x1b]*\x1b\\)"  # colors, hyperlinks
    r"|(?P<moves>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[^@-~]*[@-~]|\x1b.|[\r\n])"
    r"|(?P<text>[^\x1b\r\n]+)",
    re.DOTALL,
)


def anchored(output: str) -> str:
    """Return terminal output with explicit cursor columns after characters of uncertain width."""
    if not _DISPUTED.search(output):
        return output
    parts: list[str] = []
    column: int | None = None  # the cursor's column, if known
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
