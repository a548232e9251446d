"""Messages that the timeline posts.

`thread` is the root of the thread that the timeline shows, None for a channel.
"""

from __future__ import annotations

from collections.abc import Iterator

from textual.events import Key
from textual.message import Message as TextualMessage
from textual.widget import Widget

from chat.client.model.state import Message
from chat.client.tui.timeline.viewport import Viewport

__all__ = [
    "ActionRequested",
    "GapWanted",
    "LettersTyped",
    "LinkClicked",
    "OlderWanted",
    "ReactionClicked",
    "Seen",
    "Selected",
    "WindowEvents",
]


class OlderWanted(TextualMessage, namespace="timeline"):
    """The window is near the first loaded message, and older messages exist."""

    def __init__(self, thread: int | None) -> None:
        super().__init__()
        self.thread = thread


class GapWanted(TextualMessage, namespace="timeline"):
    """The window shows a gap: messages are missing before `seq`."""

    def __init__(self, seq: int, thread: int | None) -> None:
        super().__init__()
        self.seq = seq
        self.thread = thread


class Seen(TextualMessage, namespace="timeline"):
    """The highest seq in the window changed to `seq`."""

    def __init__(self, seq: int, thread: int | None) -> None:
        super().__init__()
        self.seq = seq
        self.thread = thread


class Selected(TextualMessage, namespace="timeline"):
    """The cursor of `timeline` moved to `message`, or was removed (None)."""

    def __init__(self, timeline: Widget, message: Message | None) -> None:
        super().__init__()
        self.timeline = timeline
        self.message = message


class LettersTyped(TextualMessage, namespace="timeline"):
    """Letters followed each other so quickly that they are text, not commands."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        super().__init__()
        self.keys = keys


class ActionRequested(TextualMessage, namespace="timeline"):
    """A key or a click requested an action on a message.

    `name` is `reply`, `thread`, `react`, `edit`, `delete`, `pin`, `copy`, `open`, `author`, `show`,
    `retry` or `discard`.
    """

    def __init__(self, name: str, message: Message, thread: int | None = None) -> None:
        super().__init__()
        self.name = name
        self.message = message
        self.thread = thread


class LinkClicked(TextualMessage, namespace="timeline"):
    """A link (http, https or mailto) was clicked."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url


class ReactionClicked(TextualMessage, namespace="timeline"):
    """A reaction under a message was clicked."""

    def __init__(self, emoji: str, message: Message) -> None:
        super().__init__()
        self.emoji = emoji
        self.message = message


class WindowEvents:
    """Detector of events in a window; each event is reported once until something changes."""

    def __init__(self) -> None:
        self.seen: int | None = None
        """The highest seq in the window."""
        self._older_asked = False
        self._gaps_asked: set[int] = set()

    def ask_older_again(self) -> None:
        """Allow another request for older messages: some arrived, or the request may be lost."""
        self._older_asked = False

    def ask_gaps_again(self) -> None:
        """Allow another request for each gap, after the gaps changed."""
        self._gaps_asked.clear()

    def posts(self, sheet: Viewport) -> Iterator[TextualMessage]:
        """Return the messages to post about the window of `sheet`."""
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
