"""The lists at the sides: they step aside where it is narrow, and obey a person everywhere.

A thread takes the place of the members; where it is narrow it stands below its channel.
"""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from chat.client.tui.screens.thread import ThreadSide
from chat.client.tui.view import Pane
from chat.client.tui.widgets.activity import ActivityBar
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["Panes"]

_SIDEBAR_FROM, _MEMBERS_FROM = 70, 100


class Panes:
    """Which of the lists of `screen` are shown; None in `_wanted`: if there is room."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._wanted: dict[Pane, bool | None] = {"sidebar": None, "members": None}

    def toggle(self, pane: Pane) -> None:
        """Show a list, or hide it."""
        shown = self._screen.query_one(Sidebar if pane == "sidebar" else MemberList).display
        self._wanted[pane] = not shown
        self.fit()

    def fit(self) -> None:
        """Fit the lists to the screen's width."""
        width = self._screen.size.width
        sidebar, members = self._wanted["sidebar"], self._wanted["members"]
        self._screen.query_one(Sidebar).display = (
            width >= _SIDEBAR_FROM if sidebar is None else sidebar
        )
        self._screen.query_one(ActivityBar).display = not self._screen.query_one(Sidebar).display
        thread = self._screen.query_one(ThreadSide)
        for part in (self._screen.query_one("#work"), thread):
            part.set_class(width < _MEMBERS_FROM, "-stacked")
        self._screen.query_one(MemberList).display = not thread.display and (
            width >= _MEMBERS_FROM if members is None else members
        )
