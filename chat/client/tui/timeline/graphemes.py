"""Text of the timeline: made harmless, measured (widths of emoji too), cut by graphemes.

This is the choke point of the timeline: every foreign text passes `tame` before it is laid out. A
*cluster* is what a reader sees as one character, however many code points it is made of. Widths are
Rich's, corrected for flags and emoji; where terminals disagree, `tui/terminal/output.py` keeps what
follows in its place.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

from rich.cells import cell_len, get_character_cell_size

from chat.client.tui.safe_text import shown

__all__ = ["apart", "clusters", "crop", "snap", "tame"]

TAB = 4

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


def tame(text: str) -> str:
    r"""Return `text` as it may be shown: printable, tabs expanded; `\n` stays."""
    text = shown(text)
    return text.expandtabs(TAB) if "\t" in text else text


def crop(text: str, width: int) -> str:
    """Return the first line of `text`, cut with an ellipsis if it is wider than `width`."""
    text = " ".join(tame(text).split())
    if cell_len(text) <= width:
        return text
    starts, ends = clusters(text)
    fitting = bisect_right(ends, width - 1)
    return text[: starts[fitting]].rstrip() + "…"


def snap(text: str, position: int, *, up: bool = False) -> int:
    """Move a position that lies within a cluster to its start, or to its end."""
    if text.isascii() or not 0 < position < len(text):
        return min(max(position, 0), len(text))
    starts, _ = clusters(text)
    at = bisect_right(starts, position) - 1
    return starts[at + 1] if up and starts[at] < position else starts[at]


def clusters(text: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return where each character that a reader sees begins, and the width up to its end."""
    if text.isascii():
        return range(len(text) + 1), range(1, len(text) + 1)
    starts: list[int] = []
    widths: list[int] = []
    joining = flag = False
    for index, char in enumerate(text):
        code = ord(char)
        width = 1 if 0x20 <= code < 0x7F else get_character_cell_size(char)
        regional = 0x1F1E6 <= code <= 0x1F1FF
        if starts and (joining or width == 0 or (flag and regional)):
            if flag and regional:
                widths[-1] += width
            elif char == "\ufe0f":
                widths[-1] = cell_len(text[starts[-1] : index + 1])
            flag = False
        else:
            starts.append(index)
            widths.append(width)
            flag = regional
        joining = char == "\u200d"
    starts.append(len(text))
    return starts, list(accumulate(widths))


def apart(text: str) -> Iterable[str]:
    """Cut text so that each character of several code points stands alone."""
    if text.isascii() or _is_simple(text):
        return (text,)
    starts, _ = clusters(text)
    parts: list[str] = []
    plain = 0
    for begin, end in pairwise(starts):
        if end - begin > 1:
            if plain < begin:
                parts.append(text[plain:begin])
            parts.append(text[begin:end])
            plain = end
    if plain < len(text):
        parts.append(text[plain:])
    return parts


@lru_cache(1024)
def _is_simple(text: str) -> bool:
    return all(map(get_character_cell_size, text)) and not _FLAG.search(text)
