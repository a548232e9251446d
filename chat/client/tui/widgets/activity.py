"""The activity bar: channels in which something happened, on one line, while no list is shown."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from chat.client.presenter.desk import title_of
from chat.client.presenter.spots import NOWHERE, Group, Spot, entries, waits, weight
from chat.client.state import ChannelInfo, Link
from chat.client.tui.foreign_text import elide, line
from chat.client.tui.widgets.badges import LINKS, badge
from chat.client.tui.widgets.sidebar import Sidebar
from chat.text import is_direct

__all__ = ["ActivityBar"]

_LONGEST, _SERVER_LONGEST = 20, 10
_GAP = "   "


class ActivityBar(Widget):
    """Mentions first, then direct messages, then others, each with its place in the list.

    Of several servers those behind the front one are named, and before all else those that are
    not connected.
    """

    DEFAULT_CSS = """
    ActivityBar {
        display: none;
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    groups: reactive[tuple[Group, ...]] = reactive(())
    """The channels of all servers, in their order."""
    here: reactive[Spot] = reactive(NOWHERE)

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
        for spot, part in self._fitting()[0]:
            if 0 <= at < part.cell_length:
                self.post_message(Sidebar.ChannelChosen(spot))
            at -= part.cell_length + len(_GAP)

    def _fitting(self) -> tuple[list[tuple[Spot, Content]], int]:
        """Return the channels that fit, and how many are left out."""
        behind = {each.seat: each for each in self.groups if each.seat != self.here.seat}
        active = [
            (number, entry)
            for number, entry in enumerate(entries(self.groups), 1)
            if entry.spot != self.here and badge(entry.info)
        ]
        active.sort(key=lambda each: -_severity(each[1].info))
        parts = [
            (Spot(each.seat, ""), _server(each))
            for each in behind.values()
            if each.link is not Link.ONLINE
        ]
        parts += [
            (entry.spot, _part(number, entry.info, behind.get(entry.spot.seat)))
            for number, entry in active
        ]
        room = self.content_size.width
        if sum(part.cell_length + len(_GAP) for _, part in parts) - len(_GAP) > room:
            room -= len(f"{_GAP}and {len(parts)} more")
        fitting: list[tuple[Spot, Content]] = []
        for spot, part in parts:
            room -= part.cell_length + len(_GAP) * bool(fitting)
            if room < 0:
                break
            fitting.append((spot, part))
        return fitting, len(parts) - len(fitting)


def _severity(info: ChannelInfo) -> int:
    return weight(info) + 1 if waits(info) else 0


def _server(group: Group) -> Content:
    sign, colour, _ = LINKS[group.link]
    return Content.assemble((sign, colour), " ", elide(line(group.title), _SERVER_LONGEST))


def _part(number: int, info: ChannelInfo, behind: Group | None) -> Content:
    key = f"{number} " if number <= 9 else ""
    sign = "@" if is_direct(info.name) else ""
    name = elide(line(f"{sign}{title_of(info)}"), _LONGEST)
    server = elide(line(f" {behind.title}", "$foreground 60%"), _SERVER_LONGEST) if behind else ""
    return Content.assemble((key, "$foreground 45%"), name, server, " ", badge(info))
