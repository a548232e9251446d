"""Handle each key completely before the next one.

Textual sends a key to the widget that has the focus when the key is read. The key's effect, such as
a new focus or screen, follows some messages later. Keys that arrive together, as over a slow line,
would go to the wrong widget: a name typed after Ctrl+K was sent to the channel.

So a key that may move the focus delays the following keys. Two `Passed` messages bubble from its
widget to the app, one after the other: the first shows that the key was handled, the second that
the messages posted meanwhile were handled too. Letters typed into a text field do not move the
focus, and delay nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, TextArea

__all__ = ["KeyQueue", "Passed", "Stage"]

_LOOK_EVERY = 0.02
_LOOKS = 250
"""Checks after which the next key is handled in any case: five seconds of a running event loop.
The time is not measured by the clock, which also advances while the machine is stalled."""


class Stage(IntEnum):
    """Progress of a key."""

    HANDLED = 1
    TOLD = 2
    DONE = 3


class Passed(Message):
    """The key of a turn reached a stage."""

    def __init__(self, turn: int, stage: Stage) -> None:
        super().__init__()
        self.turn = turn
        self.stage = stage


class KeyQueue:
    """A queue that handles keys and pastes one after the other.

    Args:
        app: the app; it hands each `Passed` that it receives to `passed`.
        handle: Textual's own handling of an event.
    """

    def __init__(self, app: App[Any], handle: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app = app
        self._handle = handle
        self._waiting: deque[events.Event] = deque()
        self._turn = 0
        self._is_taken = False
        self._origin: Widget | None = None
        self._screen: Widget | None = None
        self._awaited: Widget | None = None
        """The widget that should pass on the next message."""

    async def take(self, event: events.Event) -> None:
        """Handle a key or a paste, now or after the pending ones."""
        if self._is_taken:
            self._waiting.append(event)
        else:
            await self._let_in(event)

    async def _let_in(self, event: events.Event) -> None:
        app = self._app
        origin, screen = app.focused or app.screen, app.screen
        await self._handle(event)
        if isinstance(event, events.Key) and event.is_printable and _is_written_in(origin):
            return
        self._turn += 1
        self._is_taken, self._origin, self._screen, self._awaited = True, origin, screen, origin
        self._look(self._turn, _LOOKS)
        self._follow(Stage.HANDLED)

    async def passed(self, message: Passed) -> None:
        """Advance the current key; after its last stage, handle the next keys."""
        if not self._is_on(message.turn):
            return
        match message.stage:
            case Stage.HANDLED:
                self._follow(Stage.TOLD)
            case Stage.TOLD:
                self._settle()
            case Stage.DONE:
                self._is_taken = False
                while self._waiting and not self._is_taken:
                    await self._let_in(self._waiting.popleft())

    def _is_on(self, turn: int) -> bool:
        """Whether the turn is current; no turn is once the program has closed its screens."""
        return self._is_taken and turn == self._turn and bool(self._app.screen_stack)

    def _follow(self, stage: Stage) -> None:
        if self._origin is None or not self._origin.post_message(Passed(self._turn, stage)):
            self._settle()  # the widget has closed

    def _settle(self) -> None:
        """End the turn; if the screen changed, after the new one is drawn and has a focus."""
        done = Passed(self._turn, Stage.DONE)
        screen = self._awaited = self._app.screen
        if screen is self._screen or not screen.call_after_refresh(self._app.post_message, done):
            self._app.post_message(done)

    def _look(self, turn: int, left: int) -> None:
        """End the turn if the awaited widget closed, because it passes on no messages."""
        if not self._is_on(turn):
            return
        if not left:
            self._app.post_message(Passed(turn, Stage.DONE))
            return
        if self._awaited is None or not self._awaited.is_attached:
            self._settle()
        asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look, turn, left - 1)


def _is_written_in(widget: Widget) -> bool:
    return isinstance(widget, TextArea | Input)
