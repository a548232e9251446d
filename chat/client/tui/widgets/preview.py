"""A preview of the composed message, above the composer."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Size
from textual.widget import Widget

from chat.client.model.state import Message
from chat.client.tui.timeline.layout import Line
from chat.client.tui.timeline.neighbors import Neighbors
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer

__all__ = ["Preview"]


class Preview(Widget):
    """The composer's text as the timeline would show it; hidden by default."""

    DEFAULT_CSS = """
    Preview {
        display: none;
        height: auto;
        max-height: 10;
        border-top: solid $foreground 25%;
        background: $background;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._user = ""
        self._people: tuple[str, ...] = ()

    def show(self, text: str, user: str, people: tuple[str, ...]) -> None:
        """Show `text` as `user` sees it among the members `people`."""
        if (text, user, people) != (self._text, self._user, self._people):
            self._text, self._user, self._people = text, user, people
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of lines of the message."""
        return max(1, len(self._lay_out(width)))

    def render(self) -> Text:
        """Draw the message."""
        lines = self._lay_out(self.size.width)
        return Text("\n").join(_row(line) for line in lines[: self.size.height])

    def _lay_out(self, width: int) -> list[Line]:
        message = Message("", None, None, self._user, 0, text=self._text)
        renderer = Renderer(Palette.of(self, self._people), self._user, max(width, 1), airy=False)
        block = renderer.block(message, Neighbors(grouped=True))
        return block.lines[block.lead :]


def _row(line: Line) -> Text:
    """Convert a line to Rich text, without meta, so that nothing is clickable."""
    row = Text("  ", end="", no_wrap=True)
    for segment in (*line.indent, *line.ink):
        row.append(segment.text, segment.style.clear_meta_and_links() if segment.style else None)
    return row
