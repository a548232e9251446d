"""Handle each key completely before the next one.

Textual gives a key to what has the focus when it is read. What that key does, such as moving the
focus or opening a screen, happens some messages later: of several that come in one go, as they do
from a slow line, the later ones went where they were not meant to. A name typed after Ctrl+K was
sent to the channel.

So a key that may lead elsewhere holds those behind it back. Two messages follow it on its way up
from the widget that got it: when the first has arrived the key was handled, when the second has,
so was what was told of it then. Letters that are written leave the focus where it is, and hold
nothing back.
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
"""Looks after which the next key is let in, whatever has become of the one before: five seconds of
an event loop that runs. (Time alone would pass on a stalled machine, in which nothing was done.)"""


class Stage(IntEnum):
    """How far a key has come."""

    HANDLED = 1
    TOLD = 2
    DONE = 3


class Passed(Message):
    """A key has come so far."""

    def __init__(self, turn: int, stage: Stage) -> None:
        super().__init__()
        self.turn = turn
        self.stage = stage


class KeyQueue:
    """Lets keys and pastes in, one after the other.

    Args:
        app: knows the focus; every `Passed` that reaches it is to be given to `passed`.
        handle: does what Textual does with a key.
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
        """Whoever is to pass the next message on."""

    async def take(self, event: events.Event) -> None:
        """Handle a key or a paste: now, or when those before it are done."""
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
        """Let the next one in when all that a key did is done."""
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
        """Whether this turn goes on; none does once the program ends, which takes the screens."""
        return self._is_taken and turn == self._turn and bool(self._app.screen_stack)

    def _follow(self, stage: Stage) -> None:
        if self._origin is None or not self._origin.post_message(Passed(self._turn, stage)):
            self._settle()  # it has closed

    def _settle(self) -> None:
        """Go on; if another screen came, as soon as that is drawn and has its focus."""
        done = Passed(self._turn, Stage.DONE)
        screen = self._awaited = self._app.screen
        if screen is self._screen or not screen.call_after_refresh(self._app.post_message, done):
            self._app.post_message(done)

    def _look(self, turn: int, left: int) -> None:
        """See to it that nothing is held back by what has closed: it passes no message on."""
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
