"""The lists at the sides: they step aside where it is narrow, and obey a person everywhere.

A thread takes the place of the members; where it is narrow it stands below its channel.
"""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from chat.client.presenter.view import Pane
from chat.client.tui.screens.thread import ThreadSide
from chat.client.tui.widgets.activity import ActivityBar
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["Panes"]

_WIDE = 100
"""Columns from which there is room for both lists beside what is read."""


class Panes:
    """Which of the lists of `screen` are shown; None in `_wanted`: as the width has it."""

    def __init__(self, screen: Screen[Any]) -> None:
        self._screen = screen
        self._wanted: dict[Pane, bool | None] = {"sidebar": None, "members": None}

    def toggle(self, pane: Pane) -> None:
        """Show a list, or hide it; where it is narrow, it takes the other one's place."""
        wanted = not self._screen.query_one(Sidebar if pane == "sidebar" else MemberList).display
        other: Pane = "members" if pane == "sidebar" else "sidebar"
        self._wanted[pane] = None if wanted == self._is_wide else wanted
        if wanted and not self._is_wide and self._wanted[other]:
            self._wanted[other] = None
        self.fit()

    def fit(self) -> None:
        """Fit the lists to the screen's width."""
        sidebar, members = self._is_shown("sidebar"), self._is_shown("members")
        self._screen.query_one(Sidebar).display = sidebar
        self._screen.query_one(ActivityBar).display = not sidebar
        thread = self._screen.query_one(ThreadSide)
        for part in (self._screen.query_one("#work"), thread):
            part.set_class(not self._is_wide, "-stacked")
        self._screen.query_one(MemberList).display = members and not thread.display

    def _is_shown(self, pane: Pane) -> bool:
        wanted = self._wanted[pane]
        return self._is_wide if wanted is None else wanted

    @property
    def _is_wide(self) -> bool:
        return self._screen.size.width >= _WIDE
