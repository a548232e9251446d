"""Lay styled text out into lines of cells.

All text passes `sanitize` first, so lines contain no terminal control characters. Wrapping counts
cells and never splits a grapheme cluster.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style

from chat.client.tui.timeline.graphemes import (
    cluster_boundary,
    grapheme_clusters,
    isolate_clusters,
    sanitize,
    truncate,
)

__all__ = ["Line", "Piece", "flow", "highlighted", "rule", "segments"]

_NO_START = frozenset("、。，．：；！？）」』】〉》〕｝…ー,.;:!?)]}%")
_NULL = Style.null()
_ORPHAN = "◌"  # base of a combining mark at the start of a span


class Piece(NamedTuple):
    """Text of one style; line breaks in it are kept."""

    text: str
    style: Style = _NULL


class Line(NamedTuple):
    """One row of the screen, without its gutter.

    Args:
        ink: the segments of the text; a selection copies their text.
        width: width of the ink in cells.
        join: the text between the line above and this one: a line break, the blank at which the
            text was wrapped, or nothing if a word was broken.
        indent: segments before the ink, never copied (quote bars, hanging indents).
        indent_width: width of the indent in cells.
        fill: style of the rest of the row, up to the right edge of the column.
        gutter: text for the gutter, the time.
    """

    ink: tuple[Segment, ...] = ()
    width: int = 0
    join: str = "\n"
    indent: tuple[Segment, ...] = ()
    indent_width: int = 0
    fill: Style | None = None
    gutter: str = ""

    @property
    def text(self) -> str:
        """The text of the line, as a selection copies it."""
        return "".join(segment.text for segment in self.ink)


def rule(label: str, width: int, style: Style, char: str = "─") -> Line:
    """Return a rule across `width` cells, `── label ─────`, which is never copied."""
    label = truncate(label, width - 6)
    text = f"{char * 2} {label} "
    text += char * (width - cell_len(text))
    return Line(indent=(Segment(text, style),), indent_width=cell_len(text))


def segments(pieces: Iterable[Piece]) -> tuple[tuple[Segment, ...], int]:
    """Return pieces as one unwrapped line: its segments and their width in cells."""
    one_line = (Piece(piece.text.replace("\n", " "), piece.style) for piece in pieces)
    line = flow(one_line, 1_000_000)[0]
    return line.ink, line.width


def flow(
    pieces: Iterable[Piece],
    width: int,
    *,
    indent: Sequence[Piece] = (),
    hang: bool = False,
    fill: Style | None = None,
) -> list[Line]:
    """Wrap pieces to a column; return at least one line.

    Args:
        pieces: the text; its line breaks are kept.
        width: width of the column in cells.
        indent: pieces before each line, such as a quote bar.
        hang: whether to indent wrapped lines of a list item to the item's text.
        fill: style of the rest of each line, up to the edge of the column.
    """
    before: tuple[Segment, ...] = ()
    before_width = 0
    if indent:
        before, before_width = segments(indent)
    lines: list[Line] = []
    for text, styles in _paragraphs(pieces):
        hanging = _hanging(text, width - before_width) if hang else 0
        blank = (Segment(" " * hanging),) if hanging else ()
        spans = _wrap(text, max(1, width - before_width), hanging)
        for number, (start, end, join) in enumerate(spans):
            ink, ink_width = _inked(text, start, end, styles)
            shift = (blank, hanging) if number else ((), 0)
            lines.append(
                Line(ink, ink_width, join, before + shift[0], before_width + shift[1], fill)
            )
    return lines


_Styles = list[tuple[int, Style]]
_begin = itemgetter(0)


def _paragraphs(pieces: Iterable[Piece]) -> list[tuple[str, _Styles]]:
    """Split pieces at line breaks; return each line's text and the start of each style in it."""
    parts: list[str] = []
    styles: _Styles = []
    length = 0
    found: list[tuple[str, _Styles]] = []
    for piece in pieces:
        for number, part in enumerate(sanitize(piece.text).split("\n")):
            if number:
                found.append(("".join(parts), styles))
                parts, styles, length = [], [], 0
            if part:
                if length and not get_character_cell_size(part[0]):
                    part = _ORPHAN + part  # or marks of many spans combine on one character
                parts.append(part)
                styles.append((length, piece.style))
                length += len(part)
    found.append(("".join(parts), styles))
    return found


_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)])\s+")


def _hanging(text: str, width: int) -> int:
    """Return the cells by which to indent wrapped lines of a list item: to the item's text."""
    match = _ITEM.match(text)
    return match.end() if match and match.end() <= width // 2 else 0


def _wrap(text: str, width: int, hanging: int) -> list[tuple[int, int, str]]:
    """Wrap one line of text; return the (start, end, join) of each row."""
    if cell_len(text) <= width:
        return [(0, len(text), "\n")]
    starts, ends = grapheme_clusters(text)
    rows: list[tuple[int, int, str]] = []
    first, join, room = 0, "\n", width
    while first < len(ends):
        used = ends[first - 1] if first else 0
        over = max(first + 1, bisect_right(ends, used + room))
        if over == len(ends):
            rows.append((starts[first], len(text), join))
            break
        cut = _break_before(text, starts, ends, first, over)
        end, following = cut, cut
        while end > first and text[starts[end - 1]] == " ":
            end -= 1
        while following < len(ends) and text[starts[following]] == " ":
            following += 1
        end = end if end > first else cut
        rows.append((starts[first], starts[end], join))
        join = text[starts[end] : starts[following]]
        first, room = following, width - hanging
    return rows


def _break_before(
    text: str, starts: Sequence[int], ends: Sequence[int], first: int, over: int
) -> int:
    """Return the cluster before which to break: at a blank or a wide cluster, else `over`."""
    for cut in range(over, first, -1):
        char, last = text[starts[cut]], text[starts[cut - 1]]
        if char == " " or last == " ":
            return cut
        wide = (
            ends[cut] - ends[cut - 1] == 2 or ends[cut - 1] - (ends[cut - 2] if cut > 1 else 0) == 2
        )
        if wide and char not in _NO_START:
            return cut
    return over


def _inked(text: str, start: int, end: int, styles: _Styles) -> tuple[tuple[Segment, ...], int]:
    """Return the segments of one row.

    A cluster of several code points gets a separate segment: the screen's hit-testing counts code
    points, and would assign the second code point to the next cell.
    """
    found: list[Segment] = []
    total = 0
    first = max(0, bisect_right(styles, start, key=_begin) - 1)
    for number in range(first, len(styles)):
        begin, style = styles[number]
        if begin >= end:
            break
        stop = styles[number + 1][0] if number + 1 < len(styles) else len(text)
        begin, stop = max(begin, start), min(stop, end)
        if begin >= stop:
            continue
        for part in isolate_clusters(text[begin:stop]):
            found.append(Segment(part, style))
            total += cell_len(part)
    return tuple(found), total


def highlighted(line: Line, selected: tuple[int, int], style: Style) -> Iterator[Segment]:
    """Return a line's segments, with the `selected` range in `style` (end -1: to the end)."""
    text = line.text
    start = cluster_boundary(text, selected[0])
    end = len(text) if selected[1] < 0 else cluster_boundary(text, selected[1], up=True)
    position = 0
    for part, own, _ in line.ink:
        first = min(max(0, start - position), len(part))
        last = min(max(first, end - position), len(part))
        position += len(part)
        if first:
            yield Segment(part[:first], own)
        if first < last:
            yield Segment(part[first:last], (own or _NULL) + style)
        if last < len(part):
            yield Segment(part[last:], own)
