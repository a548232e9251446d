"""Merge mouse moves and wheel turns.

A touchpad sends hundreds of events per second. Handled one by one, with layout and painting for
each, 2,000 of them delayed a key by 10 s.
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
"""Most turns per batch for widgets other than `Canvas`, which get them one by one."""


class Pointer:
    """A buffer of mouse events; `take` may be called from any thread.

    Args:
        app: the app; it must call `settle` before it handles other input.
        handle: Textual's own handling of an event.
    """

    def __init__(self, app: App[Any], handle: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._handle = handle
        self._lock = Lock()
        self._taken: list[Flooding] = []

    def take(self, event: Flooding) -> None:
        """Add an event; a move replaces a move directly before it."""
        with self._lock:
            is_first = not self._taken
            if isinstance(event, events.MouseMove) and _is_move(self._taken[-1:]):
                self._taken.pop()
            self._taken.append(event)
        if is_first:
            self._app.call_later(self.settle)

    async def settle(self) -> None:
        """Handle the buffered events: successive turns as one scroll, moves by the last one."""
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
