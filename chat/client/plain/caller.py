"""How the person is called where there are only lines: the terminal's bell, or their program."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence

from chat.client.calls import Call, Way
from chat.client.plain.lines import Lines
from chat.client.ringing import run

__all__ = ["LineCaller"]


class LineCaller:
    """The `Caller` of the linear mode.

    Args:
        lines: has the bell.
        beside: runs something that waits.
        way: as the person has chosen; any way of the terminal is its bell here.
        command: the program, if that is the way.
    """

    def __init__(
        self,
        lines: Lines,
        beside: Callable[[Coroutine[None, None, None]], None],
        way: Way,
        command: Sequence[str],
    ) -> None:
        self._lines = lines
        self._way = way
        self._command = tuple(command)
        self._is_told = False
        """Whether the person knows that their program fails."""
        self.run_beside = beside

    def ring(self, call: Call) -> None:
        """Call the person."""
        if self._way == "command":
            self.run_beside(self._run(call))
        elif self._way != "none":
            self._lines.ring()

    async def _run(self, call: Call) -> None:
        fault = await run(self._command, call)
        if fault and not self._is_told:
            self._is_told = True
            self._lines.say([fault])
