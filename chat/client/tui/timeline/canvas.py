"""The canvas: the window of a sheet, on the screen. It scrolls, and paints what looks different.

At the bottom it stays at the bottom. Anywhere else what one reads stays where it is, whatever
arrives, changes or is resized.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from chat.client.state import Message
from chat.client.tui.timeline.around import Joins
from chat.client.tui.timeline.frame import Frame
from chat.client.tui.timeline.messages import News
from chat.client.tui.timeline.painting import Painter
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.render import Renderer
from chat.client.tui.timeline.sheet import Sheet

__all__ = ["Canvas", "Place"]

_AIRY_FROM = 30  # rows of the terminal from which groups are set apart by blank lines
_WHEEL = 3


class Place(NamedTuple):
    """A place in a channel: `offset` rows below the beginning of message `seq`'s text."""

    seq: int
    offset: int


class Canvas(ScrollView, inherit_bindings=False):
    """A widget that shows a sheet; only what is visible costs anything.

    Whoever derives from it changes `_sheet`, and then says so: `_update_soon`, or `_update`.
    """

    DEFAULT_CSS = """
    Canvas {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-color: $foreground 15%;
        scrollbar-color-hover: $foreground 30%;
        scrollbar-color-active: $primary;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
    }
    """

    at_bottom: reactive[bool] = reactive(True, repaint=False)
    """Whether the newest line shows."""
    below: reactive[int] = reactive(0, repaint=False)
    """How many messages lie below the last one that shows."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._user = ""
        self._thread: int | None = None
        self._palette = Palette()
        self._stale_styles = True
        self._sheet = Sheet(self._make_renderer())
        self._frame = Frame(self._sheet.renderer)
        self._news = News()
        self._update_due = False
        self._laid_out = Size()

    def _begin(self, user: str, thread: int | None, joins: Joins) -> None:
        """Begin with an empty sheet, for that reader; with `thread`, of one thread alone."""
        self._user, self._thread = user, thread
        self._sheet = Sheet(self._make_renderer(), self.size.height, joins)
        self._news = News()
        self._update_soon()

    # Where the window is

    def scroll_to_seq(self, seq: int) -> bool:
        """Bring a message into view; False if it is not loaded."""
        index = self._sheet.log.find(seq)
        if index is None:
            return False
        self._sheet.show(index, above=self._sheet.height // 3)
        self._update_soon()
        return True

    def jump_to_bottom(self) -> None:
        """Show the newest line, and stay there."""
        self._sheet.anchor = None
        self._update_soon()

    @property
    def place(self) -> Place | None:
        """Where one reads, for `restore`; None at the bottom."""
        if self._sheet.anchor is None:
            return None
        key, offset = self._sheet.anchor
        return Place(key, offset) if isinstance(key, int) and key > 0 else None

    def restore(self, place: Place | None) -> None:
        """Go back to where `place` was taken, or to the nearest line that is loaded."""
        self._sheet.anchor = place
        self._update_soon()

    @property
    def seen(self) -> int | None:
        """The highest seq that shows."""
        return self._news.seen

    def back_from_here(self) -> Iterator[Message]:
        """Return what is loaded, from the last message that shows back to the oldest."""
        log = self._sheet.log
        return (log[at] for at in range(min(self._sheet.window.last, len(log) - 1), -1, -1))

    # Laying out

    def _make_renderer(self) -> Renderer:
        airy = self.is_attached and self.app.size.height >= _AIRY_FROM
        width = self.size.width or 80
        return Renderer(self._palette, self._user, width, airy=airy, thread=self._thread)

    def _make_painter(self) -> Painter:
        selection = self.screen.get_component_rich_style("screen--selection")
        return Painter(self._sheet.renderer, self.rich_style, selection)

    def _update_soon(self) -> None:
        if not self._update_due:
            self._update_due = True
            self.call_next(self._update)

    def _update(self) -> None:
        """Bring the screen up to date with the sheet; only rows that changed are painted."""
        self._update_due = False
        if self.size and self.is_attached:
            self._paint(self._lay_out())

    def _lay_out(self) -> list[int]:
        """Take up what has changed; return the lines of the screen that look different."""
        self._laid_out = self.size
        self._restyle()
        window = self._sheet.settle()
        changed = self._frame.take(window.rows, self.size.height, self._make_painter())
        total = max(window.total, self.size.height)
        if self.virtual_size != (self.size.width, total):
            self.set_reactive(Widget.virtual_size, Size(self.size.width, total))
            self.vertical_scrollbar.window_virtual_size = total
        self.set_scroll(None, window.top)
        self.set_reactive(Widget.scroll_target_y, float(window.top))
        self.vertical_scrollbar.position = window.top
        self.at_bottom = window.at_end
        hidden = len(self._sheet.log) - 1 - window.last
        self.below = 0 if window.at_end else max(1, hidden)
        for news in self._news.of(self._sheet):
            self.post_message(news)
        return changed

    def _restyle(self) -> None:
        """Take over the width, the theme and the reader if they changed."""
        if self._stale_styles:
            self._stale_styles = False
            palette = Palette.of(self)
            self._palette = self._palette if palette == self._palette else palette
        renderer, height = self._make_renderer(), self.size.height
        if renderer != self._sheet.renderer or height != self._sheet.height:
            self._sheet.restyle(renderer, height)

    def notify_style_update(self) -> None:
        """Resolve the styles again."""
        super().notify_style_update()
        self._stale_styles = True
        if self.is_attached:
            self._update_soon()

    def render_line(self, y: int) -> Strip:
        """Paint one row of the window; the newest line stands at the bottom."""
        return self._frame.strip(y, self.text_selection)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Paint the lines of the window that lie in `crop`.

        Without Textual's own cache, which keeps what was painted by line of the screen and is of
        no use to what scrolls: through it an arrival costs four times as much.
        """
        if self._laid_out != self.size:  # a new size is painted before it is told as an event
            self._paint(y for y in self._lay_out() if y not in crop.line_range)
        strips = [self.render_line(y) for y in crop.line_range]
        ground = self.background_colors[1]
        for each in self.get_line_filters():
            strips = [strip.apply_filter(each, ground) for strip in strips]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def _paint(self, lines: Iterable[int]) -> None:
        width = self.size.width
        if regions := [Region(0, y, width, 1) for y in lines]:
            self.refresh(*regions)

    # Scrolling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the scroll bar, and whoever else scrolls this widget by rows.

        Not Textual, when it fits the place to a new size: that is for who lays out anew.
        """
        super().watch_scroll_y(old_value, new_value)
        if self._laid_out == self.size and round(new_value) != self._sheet.window.top:
            self._sheet.scroll_to(round(new_value))
            self._update()

    def on_resize(self) -> None:
        """Lay out for another size."""
        self._update()

    def turn(self, steps: int) -> None:
        """Scroll by so many turns of the mouse wheel, up if negative."""
        self._scroll(steps * _WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self._wheel(event, -_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self._wheel(event, _WHEEL)

    def _wheel(self, event: events.MouseEvent, rows: int) -> None:
        event.prevent_default()
        event.stop()
        self._scroll(rows)

    def _scroll(self, rows: int) -> None:
        if rows < 0 and self._sheet.window.top == 0:
            self._news.ask_older_again()
        self._sheet.scroll_to(self._sheet.window.top + rows)
        self._update()

    def action_page(self, direction: int) -> None:
        """Scroll one page, less two rows to keep the thread."""
        self._scroll(direction * max(1, self.size.height - 2))
