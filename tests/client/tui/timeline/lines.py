"""Builders of messages, updates and viewports for the tests of the timeline."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chat.client.model.state import Message, TimelineChanged
from chat.client.presenter.log import Log
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer
from chat.client.tui.timeline.viewport import Viewport

CHANNEL = "#general"
NOON = int(datetime(2020, 5, 4, 12).timestamp() * 1000)
MINUTE = 60_000


def say(seq: int | None, text: str = "", author: str = "alice", **fields: Any) -> Message:
    """Make a message; its time is a minute after that of the previous seq."""
    fields.setdefault("ts", NOON + (seq or 0) * MINUTE)
    fields.setdefault("cid", None)
    fields.setdefault("rev", seq or 0)
    text = text or f"message {seq}"
    return Message(CHANNEL, seq, author=author, text=text, **fields)


def event(seq: int, kind: str, author: str = "alice", **fields: Any) -> Message:
    """Make an event that is not a message."""
    return Message(CHANNEL, seq, None, author, NOON + seq * MINUTE, kind=kind, rev=seq, **fields)


def changed(*upserts: Message, **fields: Any) -> TimelineChanged:
    """Make an update of the channel."""
    return TimelineChanged(CHANNEL, upserts, **fields)


def page(first: int, last: int, **fields: Any) -> TimelineChanged:
    """Make an update with the messages `first` to `last` by alternating authors."""
    authors = ("alice", "bob", "carol")
    return changed(*(say(seq, author=authors[seq % 3]) for seq in range(first, last + 1)), **fields)


def renderer(width: int = 80, *, user: str = "dave", airy: bool = False) -> Renderer:
    """Make a renderer without colors."""
    return Renderer(Palette(), user, width, airy=airy)


def sheet(*changes: TimelineChanged, width: int = 80, height: int = 20) -> Viewport:
    """Make a viewport with these updates applied."""
    made = Viewport(Log(), renderer(width), height)
    for change in changes:
        bring(made, change)
    made.settle()
    return made


def bring(shows: Viewport | Timeline, change: TimelineChanged) -> None:
    """Apply an update to the shown log and to the timeline."""
    log = shows.log if isinstance(shows, Viewport) else shows.shown
    shows.apply(log.apply(change))


def plain(line: Line) -> str:
    """Return the visible text of a line, without the gutter."""
    return "".join(segment.text for segment in (*line.indent, *line.ink))


def plains(lines: Iterable[Line]) -> list[str]:
    """Return the visible texts of lines."""
    return [plain(line) for line in lines]


def screen(sheet: Viewport) -> list[str]:
    """Return the visible texts of the window."""
    return plains(row.line for row in sheet.settle().rows)


def row_of(sheet: Viewport, seq: int) -> int | None:
    """Return the row of the window where the text of a message begins."""
    for y, row in enumerate(sheet.settle().rows):
        if row.key == seq and row.number == row.block.lead:
            return y
    return None


def is_harmless(text: str) -> bool:
    """Whether a text contains no control characters and nothing that reorders text."""
    return not any(
        ord(char) < 0x20
        or 0x7F <= ord(char) < 0xA0
        or 0xD800 <= ord(char) < 0xE000
        or char in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028"
        for char in text
    )
