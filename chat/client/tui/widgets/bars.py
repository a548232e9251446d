"""The single lines of the screen: header, typing line, context of the composer, status bar, banner.

Each shows what it was given last, and cuts it to its width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from chat.client.presenter.desk import title_of
from chat.client.presenter.markdown import gist
from chat.client.state import ChannelInfo, ConnectionChanged, Link
from chat.client.tui.foreign_text import elide, line, lines
from chat.client.tui.widgets.badges import LINKS
from chat.text import is_direct

__all__ = ["Banner", "ChannelHeader", "ContextBar", "StatusBar", "TypingLine"]


_PEEKING = "◉ peeking: nothing is marked read"


class ChannelHeader(Widget):
    """The channel's name and its topic, on one line."""

    DEFAULT_CSS = """
    ChannelHeader {
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    channel: reactive[ChannelInfo | None] = reactive(None)
    server: reactive[str] = reactive("")
    is_peeking: reactive[bool] = reactive(False)
    """Whether nothing that shows is marked as read."""

    def render(self) -> Content:
        """Draw the line."""
        info = self.channel
        if info is None:
            return elide(line(self.server or "chat", "bold"), self.content_size.width)
        name = line(title_of(info), "bold $text-primary")
        topic = line(info.topic, "$foreground 70%")
        gap = "  " if info.topic else ""
        sign = ("@", "bold $text-primary") if is_direct(info.name) else ""
        notes = self._notes(info)
        width = self.content_size.width - notes.cell_length
        text = elide(Content.assemble(sign, name, gap, topic), width - 1)
        return Content.assemble(text, " " * (width - text.cell_length), notes)

    def _notes(self, info: ChannelInfo) -> Content:
        """Return what is to be known of the channel, on the right."""
        quiet = [f"{info.pins} pinned"] if info.pins else []
        quiet += ["muted"] if info.muted else []
        notes = [Content.styled(note, "$foreground 60%") for note in quiet]
        if self.is_peeking:
            notes.append(Content.styled(_PEEKING, "bold $text-warning"))
        return Content(" · ").join(notes)


class TypingLine(Widget):
    """Who is typing; always there, so that nothing jumps."""

    DEFAULT_CSS = """
    TypingLine {
        height: 1;
        padding: 0 1;
        color: $foreground 60%;
        text-style: italic;
    }
    """

    names: reactive[tuple[str, ...]] = reactive(())
    below: reactive[int] = reactive(0)
    """Messages below what the timeline shows."""

    def render(self) -> Content:
        """Draw the line."""
        width = self.content_size.width
        below = Content.styled(f"↓ {self.below:,} below" if self.below else "", "bold $text-accent")
        text = elide(self._typing(), width - below.cell_length - 1)
        gap = " " * max(width - text.cell_length - below.cell_length, 0)
        return Content.assemble(text, gap, below)

    def _typing(self) -> Content:
        names = [line(name, "bold") for name in self.names]
        if not names:
            return Content("")
        if len(names) > 3:
            return Content(f"{len(names)} people are typing…")
        if len(names) == 1:
            return Content.assemble(names[0], " is typing…")
        first = Content(", ").join(names[:-1])
        return Content.assemble(first, " and ", names[-1], " are typing…")


class ContextBar(Widget):
    """What the composer's text is for: an answer, or a change. Hidden while it is a new message."""

    DEFAULT_CSS = """
    ContextBar {
        display: none;
        height: 1;
        padding: 0 1;
        background: $primary 20%;
    }
    ContextBar.-shown {
        display: block;
    }
    """

    @dataclass
    class Dismissed(Message):
        """The bar was clicked away."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Content("")

    def show(self, verb: str, name: str, quoted: str) -> None:
        """Say what the text is for: a verb of ours, a name and a text of others."""
        self._text = Content.assemble((verb, "bold"), line(name, "bold"), ": ", line(gist(quoted)))
        self.add_class("-shown")
        self.refresh()

    def hide(self) -> None:
        """Step aside."""
        self.remove_class("-shown")

    def render(self) -> Content:
        """Draw the line, and how to get rid of it."""
        way_out = Content.styled("  Esc cancels", "$foreground 60%")
        width = self.content_size.width - way_out.cell_length
        text = elide(self._text, width)
        return Content.assemble(text, " " * max(width - text.cell_length, 0), way_out)

    def on_click(self, event: Click) -> None:
        """Treat a click as Escape."""
        event.stop()
        self.post_message(self.Dismissed())


class Banner(Static):
    """Why there is no connection, calmly, and when the next attempt is made."""

    DEFAULT_CSS = """
    Banner {
        display: none;
        height: auto;
        max-height: 8;
        padding: 0 1;
        background: $warning 15%;
    }
    Banner.-shown {
        display: block;
    }
    Banner.-refused {
        background: $error 20%;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def show(self, trouble: ConnectionChanged | None) -> None:
        """Say what is wrong; nothing, if nothing is."""
        self.set_class(trouble is not None, "-shown")
        if trouble is not None:
            self.set_class(trouble.link in (Link.REFUSED, Link.STOPPED), "-refused")
            self.update(lines(trouble.detail))


class StatusBar(Widget):
    """The connection, one's own name, and the keys one needs most."""

    DEFAULT_CSS = """
    StatusBar {
        height: 1;
        padding: 0 1;
        background: $panel;
    }
    """

    connection: reactive[ConnectionChanged] = reactive(ConnectionChanged(Link.CONNECTING))
    user: reactive[str] = reactive("")
    server: reactive[str] = reactive("")
    status: reactive[str] = reactive("online")
    calls: reactive[str] = reactive("")
    """What is to be known of calls: that there are none now."""
    hints: reactive[tuple[tuple[str, str], ...]] = reactive(())
    remaining: reactive[float] = reactive(0.0)
    mode: reactive[str] = reactive("")
    """What keys mean in the composer, where that changes."""

    def render(self) -> Content:
        """Draw the line; hints give way first, the last of them before the others."""
        width = self.content_size.width
        left = self._left()
        right = self._right(width - left.cell_length - 2)
        left = elide(left, width - right.cell_length)
        gap = " " * max(width - left.cell_length - right.cell_length, 0)
        return Content.assemble(left, gap, right)

    def _right(self, width: int) -> Content:
        hints = [
            Content.assemble((key, "bold $text-primary"), " ", (label, "$foreground 70%"))
            for key, label in self.hints
        ]
        while hints and sum(hint.cell_length + 3 for hint in hints) - 3 > width:
            hints.pop()
        return Content("   ").join(hints)

    def _left(self) -> Content:
        sign, colour, text = LINKS[self.connection.link]
        if self.connection.link is Link.WAITING and self.connection.retry_in is not None:
            seconds = math.ceil(self.remaining)
            text = f"offline, next try in {seconds:2} s" if seconds > 0 else "offline, trying now"
        said = [self.status] if self.status != "online" else []
        said += [self.calls] if self.calls else []
        if self.connection.link is Link.ONLINE and said:
            sign, colour, text = "◐", "$text-warning", ", ".join(said)
        parts = [Content.assemble((sign, colour), " ", text)]
        if self.user:
            parts.append(line(self.user, "bold"))
        if self.server:
            parts.append(line(self.server, "$foreground 60%"))
        if self.mode:
            parts.append(line(self.mode, "$foreground 80%"))
        return Content.styled("  ·  ", "$foreground 40%").join(parts)
