"""Rows become strips: gutter, cursor, selection. Their text was made harmless before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from chat.client.tui.timeline.ink import highlighted
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.render import Renderer
from chat.client.tui.timeline.sheet import Row

__all__ = ["FORGET_EVERY", "Painter", "forget_styles"]

FORGET_EVERY = 2.0
"""Seconds after which styles that were painted should be forgotten."""


def forget_styles() -> None:
    """Let go of the styles that were painted, of which Textual would keep 16,384.

    Ours carry a place in their row, for the selection: none is ever asked for again, and after
    reading back through a long channel they held 8 MB.
    """
    Strip.render_ansi.cache_clear()


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints rows for one renderer.

    Args:
        renderer: what laid the rows out.
        base: the widget's own style, under everything.
        selection: the style of selected text.
    """

    renderer: Renderer
    base: Style
    selection: Style

    @property
    def palette(self) -> Palette:
        """The styles in use."""
        return self.renderer.palette

    def blank(self) -> Strip:
        """Return an empty row."""
        return Strip.blank(self.renderer.width, self.base)

    def strip(
        self,
        row: Row,
        offset: int,
        *,
        cursor: bool = False,
        timed: bool = False,
        selected: tuple[int, int] | None = None,
    ) -> Strip:
        """Paint one row.

        Args:
            row: what to paint.
            offset: the row's number for the selection; grows from row to row.
            cursor: whether the message cursor is on it.
            timed: whether to show the time beside a message that shares its header.
            selected: the first and the last but one selected character; -1: to the end.
        """
        line, palette = row.line, self.palette
        before = [*self._gutter(row, cursor=cursor, timed=timed), *line.indent]
        ink = highlighted(line, selected, self.selection) if selected else line.ink
        width = self.renderer.gutter + line.indent_width + line.width
        behind: list[Segment] = []
        edge = self.renderer.gutter + self.renderer.column
        if line.fill is not None and width < edge:
            behind.append(Segment(" " * (edge - width), line.fill))
            width = edge
        if width < self.renderer.width:
            behind.append(Segment(" " * (self.renderer.width - width)))
            width = self.renderer.width
        strip = Strip([*before, *ink, *behind], width)
        if width > self.renderer.width:
            strip = strip.crop(0, self.renderer.width)
        ground = self.base + palette["cursor"] if cursor else self.base
        # Positions left of the text are negative: a selection that begins there begins with it.
        left = sum(len(segment.text) for segment in before)
        return _linked(strip.apply_style(ground).apply_offsets(-left, offset))

    def _gutter(self, row: Row, *, cursor: bool, timed: bool) -> Iterable[Segment]:
        palette, width = self.palette, self.renderer.gutter
        owned = row.number >= row.block.lead or bool(row.line.gutter)
        if cursor and owned:
            bar = Segment("▌", palette["cursor-bar"])
        elif row.block.accent and owned:
            bar = Segment("▌", palette["accent"])
        else:
            bar = Segment(" ")
        time = row.line.gutter or (row.block.time if timed and row.lacks_time else "")
        return bar, Segment(f"{time:>{width - 2}} " if width > 2 else " ", palette["time"])


def _linked(strip: Strip) -> Strip:
    """Give all rows of a link one id, by which terminals know that they belong together."""
    if not any(style and style.link for _, style, _ in strip):
        return strip
    segments = [
        Segment(text, _with_id(style) if style and style.link else style)
        for text, style, _ in strip
    ]
    return Strip(segments, strip.cell_length)


def _with_id(style: Style) -> Style:
    style = style.copy()
    # Rich generates a new id whenever styles are added, and has no public way to set one.
    style._link_id = str(crc32((style.link or "").encode()))  # noqa: SLF001
    return style
