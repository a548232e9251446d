"""The activity bar: channels in which something happened, on one line, while no list is shown."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from chat.client.state import ChannelInfo
from chat.client.tui.desk import title_of, weight
from chat.client.tui.plain import elide, line
from chat.client.tui.widgets.badges import badge
from chat.client.tui.widgets.sidebar import Sidebar
from chat.text import is_direct

__all__ = ["ActivityBar"]

_LONGEST = 20
_GAP = "   "


class ActivityBar(Widget):
    """Mentions first, then direct messages, then others, each with its place in the list."""

    DEFAULT_CSS = """
    ActivityBar {
        display: none;
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    channels: reactive[tuple[ChannelInfo, ...]] = reactive(())
    """All channels, in their order."""
    current: reactive[str | None] = reactive(None)

    def render(self) -> Content:
        """Draw the line; what does not fit is counted at its end."""
        shown, left = self._fitting()
        parts = [part for _, part in shown]
        if left:
            parts.append(Content.styled(f"and {left} more", "$foreground 60%"))
        return Content(_GAP).join(parts)

    def on_click(self, event: Click) -> None:
        """Go to the channel that was clicked."""
        at = event.x - self.styles.padding.left
        for name, part in self._fitting()[0]:
            if 0 <= at < part.cell_length:
                self.post_message(Sidebar.ChannelChosen(name))
            at -= part.cell_length + len(_GAP)

    def _fitting(self) -> tuple[list[tuple[str, Content]], int]:
        """Return the channels that fit, and how many are left out."""
        active = [
            (place, info)
            for place, info in enumerate(self.channels, 1)
            if info.name != self.current and badge(info)
        ]
        active.sort(key=lambda each: -_severity(each[1]))
        parts = [(info.name, _part(place, info)) for place, info in active]
        room = self.content_size.width
        if sum(part.cell_length + len(_GAP) for _, part in parts) - len(_GAP) > room:
            room -= len(f"{_GAP}and {len(parts)} more")
        fitting: list[tuple[str, Content]] = []
        for name, part in parts:
            room -= part.cell_length + len(_GAP) * bool(fitting)
            if room < 0:
                break
            fitting.append((name, part))
        return fitting, len(parts) - len(fitting)


def _severity(info: ChannelInfo) -> int:
    return weight(info) + 1 if info.unread or info.mentions else 0


def _part(place: int, info: ChannelInfo) -> Content:
    number = f"{place} " if place <= 9 else ""
    sign = "@" if is_direct(info.name) else ""
    name = elide(line(f"{sign}{title_of(info)}"), _LONGEST)
    return Content.assemble((number, "$foreground 45%"), name, " ", badge(info))
