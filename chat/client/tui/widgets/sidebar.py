"""The sidebar: channels by server, with their badges.

With several servers, each has a section; its heading shows the state of the connection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from chat.client.model.membership import Invitation
from chat.client.model.state import ChannelInfo, Link
from chat.client.presenter.navigation import NOWHERE, Group, Location, waits
from chat.client.presenter.state import kinds_of, title_of
from chat.client.tui.choice_list import with_reverse
from chat.client.tui.safe_text import elide, kind_signs, line
from chat.text import is_direct

__all__ = ["LINKS", "Sidebar", "badge", "has_badge"]


_MOST = 999
_KEYS = 9
"""Number of channels that Alt with a digit selects."""
LINKS: dict[Link, tuple[str, str, str]] = {
    Link.CONNECTING: ("◌", "$text-warning", "connecting…"),
    Link.ONLINE: ("●", "$text-success", "online"),
    Link.WAITING: ("○", "$text-warning", "offline"),
    Link.REFUSED: ("×", "$text-error", "sign-in rejected"),
    Link.STOPPED: ("○", "$text-muted", "stopped"),
}
"""Sign, color and label of each state of a connection."""


def has_badge(info: ChannelInfo) -> bool:
    """Whether `badge` shows anything."""
    return bool(info.failed or info.has_draft or waits(info))


def badge(info: ChannelInfo) -> Content:
    """Return the signs of a channel; empty without activity."""
    parts: list[tuple[str, str]] = []
    if info.failed:
        parts.append(("✗", "bold $text-error"))
    if info.has_draft:
        parts.append(("✎", "$text-warning"))
    if info.unread_replies and waits(info):
        has_mentions = any(thread.mentions for thread in info.threads)
        style = "bold $text-accent" if has_mentions else "$text-muted"
        parts.append((f"↳{_count(info.unread_replies)}", style))
    if info.mentions:
        parts.append((f"@{_count(info.mentions)}", "bold $text-accent"))
    elif info.unread and not info.muted:
        style = "bold $text-accent" if is_direct(info.name) else "$text-muted"
        parts.append((_count(info.unread), style))
    return Content(" ").join(Content.styled(text, style) for text, style in parts)


def _count(number: int) -> str:
    return str(number) if number <= _MOST else f"{_MOST}+"


class _Heading(NamedTuple):
    """The heading of a section; with a `link`, it names a server and can be clicked."""

    title: str
    link: Link | None = None


class _Section(NamedTuple):
    """Channels of a server, or invitations, below their heading, which is in row `top`."""

    heading: _Heading
    server: int
    rows: Sequence[ChannelInfo] | Sequence[Invitation]
    top: int = 0
    before: int = 0
    """Number of channels in the sections above."""

    def name(self, number: int) -> str:
        """Return the channel in a row below the heading, counted from 1."""
        row = self.rows[number - 1]
        return row.channel if isinstance(row, Invitation) else row.name

    @property
    def has_channels(self) -> bool:
        """Whether the rows are channels, not invitations."""
        return not self.rows or isinstance(self.rows[0], ChannelInfo)


class _Look(NamedTuple):
    """The contents of a row, and the component class of its style."""

    shown: ChannelInfo | Invitation | _Heading
    component: str
    key: str = ""
    """The digit that selects the channel with Alt."""


_BLANK = _Look(_Heading(""), "sidebar--row")


class Sidebar(ScrollView, can_focus=False):
    """Invitations, starred channels, channels and direct channels, the current one highlighted.

    Only visible rows are laid out, and only changed rows are repainted: there may be thousands of
    channels, and each message changes one.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "sidebar--row",
        "sidebar--title",
        "sidebar--here",
        "sidebar--hover",
    }
    DEFAULT_CSS = """
    Sidebar {
        height: 1fr;
        background: $surface;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;

        & > .sidebar--row { color: $foreground; }
        & > .sidebar--title { color: $text-muted; }
        & > .sidebar--here { background: $tint; }
        &:ansi > .sidebar--here { text-style: reverse; }
        & > .sidebar--hover { background: $block-hover-background; }
    }
    """

    @dataclass
    class ChannelChosen(Message):
        """A channel or a server was clicked; for a server the channel is empty."""

        location: Location

    @dataclass
    class InvitationChosen(Message):
        """An invitation was clicked; `act` is `accept` or `decline`, empty for its menu."""

        location: Location
        act: str = ""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._groups: tuple[Group, ...] = ()
        self._here = NOWHERE
        self._is_read = False
        self._here_row = -1
        """The row of the current channel at the last scroll."""
        self._sections: list[_Section] = []
        self._hovered: int | None = None
        """The row under the mouse."""
        self._painted: dict[int, _Look] = {}
        """The painted contents of each screen line."""

    def show(self, groups: tuple[Group, ...], here: Location, *, is_read: bool) -> None:
        """Show the channels of `groups` in their order.

        Args:
            groups: the channels of each server.
            here: the channel to highlight.
            is_read: whether its newest message is visible, so that it has no unread badge.
        """
        self._here, self._is_read = here, is_read
        if groups != self._groups:
            self._groups = groups
            self._lay_out()
        self._repaint()
        if self._location(self._here_row) != here:
            self._scroll_to_here()

    def on_resize(self) -> None:
        """Fit the rows to the new width."""
        self._lay_out()
        self._repaint()
        self._scroll_to_here()

    def _lay_out(self) -> None:
        self._sections = _sections(self._groups)
        rows = 0
        if self._sections:
            rows = self._sections[-1].top + 1 + len(self._sections[-1].rows)
        size = Size(self.scrollable_content_region.width, rows)
        if self.virtual_size != size:
            self.virtual_size = size

    def _repaint(self) -> None:
        """Repaint the lines that changed."""
        width = self.size.width
        for y in range(self.size.height):
            if self._painted.get(y) != self._look(y):
                self.refresh(Region(0, y, width, 1))

    def _scroll_to_here(self) -> None:
        """Scroll to the current channel; include the heading for the first of a section."""
        for section in self._sections:
            if section.server != self._here.server or not section.has_channels:
                continue
            top_name = "" if section.heading.link else None
            names = [top_name, *map(section.name, range(1, len(section.rows) + 1))]
            if self._here.channel in names:
                number = names.index(self._here.channel)
                self._here_row = section.top + number
                top = section.top if number == 1 else self._here_row
                rows = Region(0, top, 1, self._here_row - top + 1)
                self.scroll_to_region(rows, animate=False, force=True, immediate=True)

    # Rows

    def _place(self, row: int) -> tuple[_Section, int] | None:
        """Return the section of a row, and the row's number in it; None below and between them."""
        index = bisect_right(self._sections, row, key=lambda section: section.top) - 1
        if index < 0:
            return None
        section = self._sections[index]
        number = row - section.top
        return (section, number) if number <= len(section.rows) else None

    def _location(self, row: int) -> Location | None:
        """Return the location to open for a click on a row."""
        if (place := self._place(row)) is None:
            return None
        section, number = place
        if number:
            return Location(section.server, section.name(number))
        return Location(section.server, "") if section.heading.link else None

    def _look(self, y: int) -> _Look:
        row = y + self.scroll_offset.y
        if (place := self._place(row)) is None:
            return _BLANK
        section, number = place
        location = self._location(row)
        if location is None:
            return _Look(section.heading, "sidebar--title")
        is_here = location == self._here and section.has_channels
        hovered = "sidebar--hover" if row == self._hovered else "sidebar--row"
        component = "sidebar--here" if is_here else hovered
        if not number:
            return _Look(section.heading, component)
        info = section.rows[number - 1]
        if isinstance(info, Invitation):
            return _Look(info, component)
        is_read = is_here and self._is_read
        unread, mentions = (0, 0) if is_read else (info.unread, info.mentions)
        shown = replace(info, topic="", head=0, read=0, unread=unread, mentions=mentions)
        key = section.before + number
        return _Look(shown, component, str(key) if key <= _KEYS else "")

    def render_line(self, y: int) -> Strip:
        """Paint one row."""
        look = self._painted[y] = self._look(y)
        width = self.scrollable_content_region.width
        style = self.get_visual_style("sidebar--row", look.component)
        style = with_reverse(style, self, look.component)
        shown, room = look.shown, width - 3
        match shown:
            case ChannelInfo():
                row = _row(shown, room)
            case Invitation():
                row = _invitation(shown, room)
            case _:
                row = _heading(shown, room)
        key = (f"{look.key or ' '} ", "$text-muted")
        strips = Visual.to_strips(self, Content.assemble(key, row), width, 1, style)
        strip = strips[0] if strips else Strip.blank(0)
        return strip.extend_cell_length(width, style.rich_style)

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """Choose the channel, the server or the invitation that was clicked."""
        row = event.y + self.scroll_offset.y
        if (place := self._place(row)) is None or (location := self._location(row)) is None:
            return
        section, number = place
        if section.has_channels or not number:
            self.post_message(self.ChannelChosen(location))
        else:
            act = event.style.meta.get("invitation", "")
            self.post_message(self.InvitationChosen(location, act))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Highlight the row under the mouse."""
        self._hover(event.y + self.scroll_offset.y)

    def on_leave(self) -> None:
        """Highlight no row."""
        self._hover(None)

    def _hover(self, row: int | None) -> None:
        if row != self._hovered:
            self._hovered = row
            self._repaint()


def _sections(groups: tuple[Group, ...]) -> list[_Section]:
    """Return the sections: invitations, then channels by kind; by server if there are several."""
    found = [
        _Section(_Heading("Invitations"), each.server, each.invitations)
        for each in groups
        if each.invitations
    ]
    if len(groups) == 1:
        server, listed = groups[0].server, groups[0].channels
        starred = bisect_left(listed, True, key=lambda info: not info.pinned)
        direct = bisect_left(listed, True, lo=starred, key=lambda info: is_direct(info.name))
        parts = {
            "Starred": listed[:starred],
            "Channels": listed[starred:direct],
            "Direct": listed[direct:],
        }
        found += [
            _Section(_Heading(title), server, infos) for title, infos in parts.items() if infos
        ]
    else:
        found += [
            _Section(_Heading(each.title, each.link), each.server, each.channels) for each in groups
        ]
    top, before, placed = 0, 0, []
    for section in found:
        placed.append(section._replace(top=top, before=before))
        before += len(section.rows) if section.has_channels else 0
        top += len(section.rows) + 2  # the heading, and a blank row below the section
    return placed


def _heading(heading: _Heading, width: int) -> Content:
    if heading.link is None:
        return Content.styled(heading.title, "bold")
    sign, color, _ = LINKS[heading.link]
    name = elide(line(heading.title, "bold"), width - 2)
    return Content.assemble(name, " " * (width - 1 - name.cell_length), (sign, color))


def _row(info: ChannelInfo, width: int) -> Content:
    """Return a channel's line: its name on the left, signs and counts on the right."""
    signs = badge(info)
    if info.muted:
        muted = Content.styled("muted", "$text-muted")
        signs = Content.assemble(muted, " ", signs) if signs.cell_length else muted
    space = width - signs.cell_length
    name_style = "$text-muted" if info.muted else "$foreground"
    name_style = "bold" if waits(info) else name_style
    title = title_of(info)
    name = line(title[1:], name_style)
    sign = Content.styled(kind_signs(kinds_of(info)) or title[0], "$text-muted")
    gap = " " * max(2 - sign.cell_length, 0)
    label = elide(Content.assemble(sign, gap, name), space - 1)
    return Content.assemble(label, " " * (space - label.cell_length), signs)


def _invitation(invitation: Invitation, width: int) -> Content:
    """Return an invitation's line: the channel, and the signs that accept and decline it."""
    accept, decline = (
        Content.styled(sign, f"bold {color}").stylize(Style.from_meta({"invitation": act}))
        for act, sign, color in (
            ("accept", " ✓ ", "$text-success"),
            ("decline", " ✗ ", "$text-error"),
        )
    )
    signs = Content.assemble(accept, decline)
    label = elide(line(invitation.channel, "bold $text-accent"), width - signs.cell_length)
    gap = " " * (width - label.cell_length - signs.cell_length)
    return Content.assemble(label, gap, signs)
