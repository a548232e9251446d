"""The member list: the members of the channel and their presence."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from chat.client.model.state import MembersChanged
from chat.client.tui.safe_text import elide, line

__all__ = ["PRESENCE", "MemberList"]

PRESENCE: dict[str, tuple[str, str]] = {
    "online": ("●", "$text-success"),
    "away": ("◐", "$text-warning"),
    "busy": ("⊖", "$text-error"),
    "offline": ("○", "$text-muted"),
}
"""Sign and color of each presence; unknown values are shown as offline."""
_UNKNOWN = ""
"""The presence of everyone while there is no connection."""

_ORDER = {presence: place for place, presence in enumerate(PRESENCE)}


class MemberList(OptionList, can_focus=False):
    """The members of a channel, by presence and name."""

    DEFAULT_CSS = """
    MemberList {
        width: 22;
        height: 1fr;
        border: none;
        padding: 0;
        background: $surface;
        scrollbar-size-vertical: 1;

        & > .option-list--option {
            padding: 0 1;
        }
        & > .option-list--option-disabled {
            color: $text-muted;
        }
    }
    """

    @dataclass
    class MemberChosen(Message):
        """A member was clicked."""

        name: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._members: MembersChanged | None = None
        self._is_online = True
        self._width = 0
        """The width for which the rows were made, in cells."""

    def show(self, members: MembersChanged | None, *, is_online: bool) -> None:
        """Show the members of a channel; None while they are unknown.

        Without a connection their presence is not known: names have no sign.
        """
        if (members, is_online) != (self._members, self._is_online):
            self._members, self._is_online = members, is_online
            self._fill()

    def _fill(self) -> None:
        self._width = self.scrollable_content_region.width
        width = self._width - 2
        if width <= 0:
            return
        known = self._members
        # A server may list a member twice; option ids must be unique.
        rows = sorted({row[0]: row for row in known.members}.values(), key=_place) if known else []
        top = self.scroll_y
        options = [Option(Content.styled(_heading(known), "bold"), disabled=True)]
        options += [
            Option(
                _row(
                    name,
                    role,
                    presence if self._is_online else _UNKNOWN,
                    width,
                    is_muted=known is not None and name in known.muted,
                ),
                id=f"@{name}",
            )
            for name, role, presence in rows
        ]
        if known and (more := known.total - len(rows)) > 0:
            options.append(Option(f"and {more:,} more: /who", disabled=True))
        self.set_options(options)
        self.scroll_to(y=top, animate=False, immediate=True)

    @on(Resize)
    def _fit(self) -> None:
        self._fill()

    def notify_style_update(self) -> None:
        """Refill if a theme's border takes a column."""
        super().notify_style_update()
        if self.is_attached:
            self.call_after_refresh(self._fit_border)

    def _fit_border(self) -> None:
        if self.scrollable_content_region.width != self._width:
            self._fill()

    def watch_show_vertical_scrollbar(self) -> None:
        """Refill: the scrollbar takes a column, and a name that is too wide is not drawn."""
        self.call_after_refresh(self._fill)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.highlighted = None
        if event.option_id is not None:
            self.post_message(self.MemberChosen(event.option_id[1:]))


def _place(member: tuple[str, str, str]) -> tuple[int, str]:
    name, _, presence = member
    return _ORDER.get(presence, len(_ORDER)), name.lower()


def _heading(known: MembersChanged | None) -> str:
    if known is None or not known.total:  # not read yet, as before the first sign-in
        return "Members"
    return "1 member" if known.total == 1 else f"{known.total:,} members"


_ROLES = {"owner": "owner", "moderator": "mod"}
"""The words for roles above member."""


def _row(name: str, role: str, presence: str, width: int, *, is_muted: bool) -> Content:
    offline = PRESENCE["offline"]
    sign, color = (" ", offline[1]) if presence == _UNKNOWN else PRESENCE.get(presence, offline)
    here = presence in ("online", "busy", "away")
    notes = [_ROLES[role]] if role in _ROLES else []
    notes += ["muted"] if is_muted else []
    right = Content.styled("".join(f" {note}" for note in notes), "$text-muted")
    label = Content.assemble(
        (sign, color), " ", line(name, "$foreground" if here else "$text-muted")
    )
    label = elide(label, width - right.cell_length)
    gap = " " * (width - label.cell_length - right.cell_length)
    return Content.assemble(label, gap, right)
