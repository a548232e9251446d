"""Copy mode: plain text, for the terminal's own selection.

The terminal wraps the lines itself, so it copies a long address as one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from chat.client.model.state import Message
from chat.client.platform.local_time import local_time
from chat.client.tui.safe_text import shown
from chat.client.tui.timeline import renderer
from chat.text import printable_line

__all__ = ["CopyModeScreen", "copy_lines"]


_TAB = 8


def copy_lines(messages: Iterable[Message], width: int, height: int) -> list[str]:
    """Return as many of the last lines as fit, sanitized for the terminal.

    Args:
        messages: the newest first.
        width: width of the terminal in cells.
        height: height of the terminal in rows.
    """
    lines: list[str] = []
    room = height
    for message in messages:
        for line in reversed(_plain_lines(message)):
            room -= max(1, -(-cell_len(line) // width))
            if room < 0:
                return lines[::-1]
            lines.append(line)
    return lines[::-1]


def _plain_lines(message: Message) -> list[str]:
    time, author = f"{local_time(message.ts):%H:%M}", shown(printable_line(message.author))
    if message.kind != "message":
        return [f"{time} {shown(printable_line(renderer.event_sentence(message)))}"]
    if message.deleted:
        return [f"{time} {author}", "message deleted"]
    text = shown(message.text).expandtabs(_TAB).split("\n")
    if message.me:
        return [f"{time} * {author} {text[0]}", *text[1:]]
    return [f"{time} {author}", *text]


_WAY_BACK = "── press any key to return ──"


class CopyModeScreen(Screen[None]):
    """The lines as plain text until a key is pressed.

    Args:
        lines: returns the lines for a terminal of a width in cells and a height in rows.
        write: writes lines to the terminal directly; None resumes Textual's painting.
    """

    DEFAULT_CSS = """
    CopyModeScreen { background: ansi_default; }
    """

    def __init__(
        self,
        lines: Callable[[int, int], list[str]],
        write: Callable[[Sequence[str] | None], None],
    ) -> None:
        super().__init__()
        self._lines = lines
        self._write = write

    def compose(self) -> ComposeResult:
        """Compose the widget that shows the lines if the driver cannot write them."""
        yield Static(markup=False)

    def on_mount(self) -> None:
        """Show the lines again after the app was suspended."""
        self.app.app_resume_signal.subscribe(self, lambda _: self._show(self.size))

    def on_resize(self, event: events.Resize) -> None:
        """Show as many lines as fit."""
        self._show(event.size)

    def _show(self, size: Size) -> None:
        width, height = size
        lines = [*self._lines(width, height - 1), _WAY_BACK[:width]]
        self.query_one(Static).update(Content("\n".join(lines)))
        self._write(lines)

    def on_key(self, event: events.Key) -> None:
        """Close the screen."""
        event.stop()
        event.prevent_default()
        self.dismiss()

    def on_unmount(self) -> None:
        """Resume Textual's painting."""
        self._write(None)
