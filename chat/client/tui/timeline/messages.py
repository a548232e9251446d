"""Messages that the timeline posts.

`thread` is the root of the thread that the timeline shows; None: it shows a channel.
"""

from __future__ import annotations

from collections.abc import Iterator

from textual.message import Message as TextualMessage
from textual.widget import Widget

from chat.client.model.state import Message
from chat.client.tui.timeline.viewport import Viewport

__all__ = [
    "ActionRequested",
    "GapWanted",
    "LinkClicked",
    "News",
    "OlderWanted",
    "ReactionClicked",
    "Seen",
    "Selected",
]


class OlderWanted(TextualMessage, namespace="timeline"):
    """The beginning of what is loaded comes near, and there is more."""

    def __init__(self, thread: int | None) -> None:
        super().__init__()
        self.thread = thread


class GapWanted(TextualMessage, namespace="timeline"):
    """A place shows where messages are missing, before `seq`."""

    def __init__(self, seq: int, thread: int | None) -> None:
        super().__init__()
        self.seq = seq
        self.thread = thread


class Seen(TextualMessage, namespace="timeline"):
    """`seq` is the highest that shows now."""

    def __init__(self, seq: int, thread: int | None) -> None:
        super().__init__()
        self.seq = seq
        self.thread = thread


class Selected(TextualMessage, namespace="timeline"):
    """The cursor of `timeline` moved to a message, or left."""

    def __init__(self, timeline: Widget, message: Message | None) -> None:
        super().__init__()
        self.timeline = timeline
        self.message = message


class ActionRequested(TextualMessage, namespace="timeline"):
    """A key or a click asks for something to be done with a message.

    `name` is `reply`, `thread`, `react`, `edit`, `delete`, `copy`, `open`, `retry` or `discard`.
    """

    def __init__(self, name: str, message: Message, thread: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.message = message
        self.thread = thread


class LinkClicked(TextualMessage, namespace="timeline"):
    """A link was clicked: http, https or mailto."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url


class ReactionClicked(TextualMessage, namespace="timeline"):
    """A reaction under a message was clicked."""

    def __init__(self, emoji: str, message: Message) -> None:
        super().__init__()
        self.emoji = emoji
        self.message = message


class News:
    """Finds what is new in a window; each thing is told once, until something changes."""

    def __init__(self) -> None:
        self.seen: int | None = None
        """The highest seq that shows."""
        self._older_asked = False
        self._gaps_asked: set[int] = set()

    def ask_older_again(self) -> None:
        """Older lines came, or what was asked for may have been lost."""
        self._older_asked = False

    def ask_gaps_again(self) -> None:
        """The gaps are others."""
        self._gaps_asked.clear()

    def of(self, sheet: Viewport) -> Iterator[TextualMessage]:
        """Return what there is to tell of the sheet's window."""
        rows, log, thread = sheet.window.rows, sheet.log, sheet.renderer.thread
        seq = next((row.message.seq for row in reversed(rows) if row.message.seq), None)
        if seq is not None and seq != self.seen:
            self.seen = seq
            yield Seen(seq, thread)
        near_top = sheet.window.top < 2 * sheet.height
        if near_top and log.first_seq is not None and not log.complete and not self._older_asked:
            self._older_asked = True
            yield OlderWanted(thread)
        for row in rows if log.gaps else ():
            gap = row.message.seq
            if gap is None or gap not in log.gaps or gap in self._gaps_asked:
                continue
            if row.number < row.block.lead:
                self._gaps_asked.add(gap)
                yield GapWanted(gap, thread)
