"""The bare display: texts and nothing else, for the terminal's own way to select and copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

__all__ = ["Bare"]

_WAY_BACK = "── any key goes back ──"


class Bare(Screen[None]):
    """Any key brings everything back.

    Args:
        lines: returns what is to be shown on a terminal of so many cells and rows.
        write: writes lines to the terminal itself, past Textual; None lets Textual draw again.
    """

    DEFAULT_CSS = """
    Bare { background: ansi_default; }
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
