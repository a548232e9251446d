"""Copy mode: plain text, for the terminal's own selection.

What a terminal wraps by itself, it copies as one line: a long address stays whole.
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
    """Return lines that may go to a terminal, as many of the last ones as it has room for.

    Args:
        messages: the newest first.
        width: the terminal's, in cells.
        height: its rows.
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
    """Any key brings everything back.

    Args:
        lines: returns what is to be shown on a terminal of so many cells and rows.
        write: writes lines to the terminal itself, past Textual; None lets Textual draw again.
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
        """Lay out what Textual draws where the terminal cannot be written to."""
        yield Static(markup=False)

    def on_mount(self) -> None:
        """Show the lines again after the terminal was somebody else's."""
        self.app.app_resume_signal.subscribe(self, lambda _: self._show(self.size))

    def on_resize(self, event: events.Resize) -> None:
        """Show as much as there is room for."""
        self._show(event.size)

    def _show(self, size: Size) -> None:
        width, height = size
        lines = [*self._lines(width, height - 1), _WAY_BACK[:width]]
        self.query_one(Static).update(Content("\n".join(lines)))
        self._write(lines)

    def on_key(self, event: events.Key) -> None:
        """Go back."""
        event.stop()
        event.prevent_default()
        self.dismiss()

    def on_unmount(self) -> None:
        """Let Textual draw again."""
        self._write(None)
