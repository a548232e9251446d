"""Turns: of one person one thing is done at a time; who asks for much waits behind themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

__all__ = ["Turns"]

Begin = Callable[[], bool]
"""Begins something; returns False if it is not wanted any more, and nothing was begun."""


class Turns:
    """What each person has begun, and what of theirs waits for that to end."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Begin]] = {}

    def take(self, who: Hashable, begin: Begin) -> None:
        """Call `begin` now, or when all that `who` asked for before is over."""
        if (waiting := self._waiting.get(who)) is not None:
            waiting.append(begin)
        elif begin():
            self._waiting[who] = deque()

    def end(self, who: Hashable) -> None:
        """Note that what `who` has begun is over, and begin what is next of theirs."""
        waiting = self._waiting.get(who)
        while waiting:
            if waiting.popleft()():
                return
        self.forget(who)

    def forget(self, who: Hashable) -> None:
        """Drop what waits of `who`, and do not wait for the end of what they have begun."""
        self._waiting.pop(who, None)
