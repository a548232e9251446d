"""The sidebar: channels by server, with their badges.

With several servers each is a group: its heading tells how it is connected.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chat.client.model.state import ChannelInfo, Link
from chat.client.presenter.navigation import NOWHERE, Group, Location, waits
from chat.client.presenter.state import title_of
from chat.client.tui.safe_text import elide, line
from chat.text import is_direct

__all__ = ["LINKS", "Sidebar", "badge"]


_MOST = 999
LINKS: dict[Link, tuple[str, str, str]] = {
    Link.CONNECTING: ("◌", "$text-warning", "connecting…"),
    Link.ONLINE: ("●", "$text-success", "online"),
    Link.WAITING: ("○", "$text-warning", "offline"),
    Link.REFUSED: ("×", "$text-error", "refused"),
    Link.STOPPED: ("○", "$foreground 50%", "stopped"),
}
"""The sign of a connection, its colour, and its state in a word."""


def badge(info: ChannelInfo) -> Content:
    """Return the signs of a channel; nothing if nothing happened in it."""
    parts: list[tuple[str, str]] = []
    if info.failed:
        parts.append(("✗", "bold $text-error"))
    if info.has_draft:
        parts.append(("✎", "$text-warning"))
    if info.mentions:
        parts.append((f"@{_count(info.mentions)}", "bold $text-accent"))
    elif info.unread and not info.muted:
        style = "bold $text-accent" if is_direct(info.name) else "$foreground 75%"
        parts.append((_count(info.unread), style))
    return Content(" ").join(Content.styled(text, style) for text, style in parts)


def _count(number: int) -> str:
    return str(number) if number <= _MOST else f"{_MOST}+"


class Sidebar(OptionList, can_focus=False):
    """Starred channels, channels and direct channels, the current one highlighted."""

    DEFAULT_CSS = """
    Sidebar {
        width: 24;
        height: 1fr;
        border: none;
        padding: 0;
        background: $surface;
        scrollbar-size-vertical: 1;

        & > .option-list--option {
            padding: 0 1;
        }
        & > .option-list--option-highlighted {
            background: $primary 25%;
            color: $foreground;
            text-style: none;
        }
        & > .option-list--option-disabled {
            color: $foreground 55%;
        }
    }
    """

    @dataclass
    class ChannelChosen(Message):
        """A channel was clicked; or a server (no channel of it)."""

        spot: Location

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._groups: tuple[Group, ...] = ()
        self._here = NOWHERE

    def show(self, groups: tuple[Group, ...], here: Location) -> None:
        """Show the channels of `groups` in their order; `here` is highlighted."""
        if (groups, here) != (self._groups, self._here):
            self._groups, self._here = groups, here
            self._fill()

    def _fill(self) -> None:
        width = self.scrollable_content_region.width - 2
        if width <= 0:
            return
        top = self.scroll_y
        options = self._options_for(width)
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(options)
            self.scroll_to(y=top, animate=False, immediate=True)
            at = (i for i, option in enumerate(options) if option.id == _key(self._here))
            self.highlighted = next(at, None)

    def _options_for(self, width: int) -> list[Option]:
        if len(self._groups) == 1:
            return _sections(self._groups[0], width)
        options: list[Option] = []
        for group in self._groups:
            if options:
                options.append(Option("", disabled=True))
            options.append(Option(_heading(group, width), id=_key(Location(group.seat, ""))))
            for infos in _sorted(group).values():
                options += _rows(group.seat, infos, width)
        return options

    @on(Resize)
    def _fit(self) -> None:
        self._fill()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            seat, _, channel = event.option_id.partition(" ")
            self.post_message(self.ChannelChosen(Location(int(seat), channel)))


def _key(spot: Location) -> str:
    return f"{spot.seat} {spot.channel}"


def _sorted(group: Group) -> dict[str, list[ChannelInfo]]:
    """Return the channels by section: what a person has put first, channels, direct ones."""
    sections: dict[str, list[ChannelInfo]] = {"Starred": [], "Channels": [], "Direct": []}
    for info in group.channels:
        direct = "Direct" if is_direct(info.name) else "Channels"
        sections["Starred" if info.pinned else direct].append(info)
    return sections


def _sections(group: Group, width: int) -> list[Option]:
    """Return the list of the only server, in sections."""
    options: list[Option] = []
    for title, infos in _sorted(group).items():
        if infos:
            options += [Option("", disabled=True)] if options else []
            options.append(Option(Content.styled(title, "bold"), disabled=True))
            options += _rows(group.seat, infos, width)
    return options


def _rows(seat: int, infos: list[ChannelInfo], width: int) -> list[Option]:
    return [Option(_row(info, width), id=_key(Location(seat, info.name))) for info in infos]


def _heading(group: Group, width: int) -> Content:
    sign, colour, _ = LINKS[group.link]
    name = elide(line(group.title, "bold"), width - 2)
    return Content.assemble(name, " " * (width - 1 - name.cell_length), (sign, colour))


def _row(info: ChannelInfo, width: int) -> Content:
    """Return a channel's line: its name on the left, signs and counts on the right."""
    signs = badge(info)
    space = width - signs.cell_length
    name_style = "$foreground 40%" if info.muted else "$foreground 80%"
    name_style = "bold" if waits(info) else name_style
    sign = "@ " if is_direct(info.name) else "# "
    name = line(title_of(info).removeprefix("#"), name_style)
    label = elide(Content.assemble((sign, "$foreground 45%"), name), space - 1)
    return Content.assemble(label, " " * (space - label.cell_length), signs)
