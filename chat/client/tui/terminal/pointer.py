"""Merge floods of mouse events: wheel turns and moves.

A touchpad sends hundreds of them in a second. Each was laid out and painted before the next key was
looked at: 2,000 held the keyboard for 10 s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import groupby
from threading import Lock
from typing import Any

from textual import events
from textual.app import App
from textual.errors import NoWidget

from chat.client.tui.timeline.widget import Canvas

__all__ = ["Flooding", "Pointer"]

Turn = events.MouseScrollDown | events.MouseScrollUp
Flooding = Turn | events.MouseMove
_MOST = 24
"""Turns that are passed on one by one, to what scrolls in Textual's way."""


class Pointer:
    """Collects events until the app comes to them; `take` may be called from any thread.

    Args:
        app: knows the screen; it must call `settle` before it handles other input.
        handle: does what Textual does with an event.
    """

    def __init__(self, app: App[Any], handle: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._handle = handle
        self._lock = Lock()
        self._taken: list[Flooding] = []

    def take(self, event: Flooding) -> None:
        """Note an event; a move takes the place of the one before."""
        with self._lock:
            is_first = not self._taken
            if isinstance(event, events.MouseMove) and _is_move(self._taken[-1:]):
                self._taken.pop()
            self._taken.append(event)
        if is_first:
            self._app.call_later(self.settle)

    async def settle(self) -> None:
        """Handle what was noted: turns at once, of the moves the last one."""
        if not self._taken:
            return
        with self._lock:
            taken, self._taken = self._taken, []
        for is_turn, group in groupby(taken, lambda event: isinstance(event, Turn)):
            found = list(group)
            if is_turn:
                await self._turn(found)
            else:
                await self._handle(found[-1])

    async def _turn(self, turns: list[Flooding]) -> None:
        try:
            target, _ = self._app.get_widget_at(turns[-1].x, turns[-1].y)
        except NoWidget:
            return
        if isinstance(target, Canvas):
            down = sum(isinstance(turn, events.MouseScrollDown) for turn in turns)
            target.turn(down - (len(turns) - down))
        else:
            for turn in turns[-_MOST:]:
                await self._handle(turn)


def _is_move(last: list[Flooding]) -> bool:
    return bool(last) and isinstance(last[0], events.MouseMove)
