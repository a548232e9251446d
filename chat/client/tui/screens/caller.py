"""How the screens call the person: through the terminal, or with a program of theirs."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from textual.message import Message
from textual.screen import Screen

from chat.client.calls import Call, Way
from chat.client.ringing import run, sequence

__all__ = ["Rang", "ScreenCaller"]


@dataclass
class Rang(Message):
    """The terminal is to be sent `sequence`, as it is."""

    sequence: str


class ScreenCaller:
    """The `Caller` of `screen`."""

    def __init__(self, screen: Screen[Any], way: Way, command: Sequence[str]) -> None:
        self._screen = screen
        self._way = way
        self._command = tuple(command)
        self._is_told = False
        """Whether the person knows that their program fails."""

    def ring(self, call: Call) -> None:
        """Call the person."""
        if self._way == "command":
            self.run_beside(self._run(call))
        elif data := sequence(self._way, call):
            self._screen.app.post_message(Rang(data))

    async def _run(self, call: Call) -> None:
        fault = await run(self._command, call)
        if fault and not self._is_told:
            self._is_told = True
            self._screen.app.notify(fault, severity="warning", markup=False)

    def run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run something that waits, beside everything else."""
        self._screen.run_worker(work)
