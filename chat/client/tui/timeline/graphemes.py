"""Grapheme clusters (Unicode, UAX 29): sanitize, measure, split and truncate foreign text.

All foreign text of the timeline passes `sanitize` before layout. A grapheme cluster is a sequence
of code points that readers see as one character. Widths come from Rich, corrected for flags and
emoji; where terminals disagree, `tui/terminal/output.py` keeps the following text in place.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

from rich.cells import cell_len, get_character_cell_size

from chat.client.tui.safe_text import shown

__all__ = ["cluster_boundary", "grapheme_clusters", "isolate_clusters", "sanitize", "truncate"]

TAB = 4

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


def sanitize(text: str) -> str:
    r"""Return `text` printable and with tabs expanded; `\n` is kept."""
    text = shown(text)
    return text.expandtabs(TAB) if "\t" in text else text


def truncate(text: str, width: int) -> str:
    """Return `text` on one line, truncated with an ellipsis if it is wider than `width`.

    It does not begin with a variation selector, which would widen the character before it.
    """
    text = " ".join(sanitize(text).split()).lstrip("\ufe0e\ufe0f")
    if cell_len(text) <= width:
        return text
    starts, ends = grapheme_clusters(text)
    fitting = bisect_right(ends, width - 1)
    return text[: starts[fitting]].rstrip() + "…"


def cluster_boundary(text: str, position: int, *, up: bool = False) -> int:
    """Return the boundary of the cluster around `position`: its start, or with `up` its end."""
    if text.isascii() or not 0 < position < len(text):
        return min(max(position, 0), len(text))
    starts, _ = grapheme_clusters(text)
    at = bisect_right(starts, position) - 1
    return starts[at + 1] if up and starts[at] < position else starts[at]


def grapheme_clusters(text: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return the start of each cluster, with the length of the text last, and cumulative widths."""
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


def isolate_clusters(text: str) -> Iterable[str]:
    """Split `text`; each cluster of several code points becomes a separate part."""
    if text.isascii() or _is_simple(text):
        return (text,)
    starts, _ = grapheme_clusters(text)
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
