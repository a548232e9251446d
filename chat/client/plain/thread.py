"""A thread, said line by line, as it was when one asked; what comes later is said anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chat.client.presenter.draft import Draft
from chat.client.spoken import spoken
from chat.client.state import TimelineChanged
from chat.text import printable_line

__all__ = ["SpokenThread"]


class SpokenThread:
    """The `ThreadView` of a conversation, in lines; see there for what each method promises.

    Args:
        say: prints lines.
        head: returns the number of the last event in a channel.
    """

    def __init__(self, say: Callable[[Iterable[str]], None], head: Callable[[str], int]) -> None:
        self._say = say
        self._head = head
        self._last = 0
        self._said: set[int] = set()
        self._text = ""

    def open(self, channel: str, root: int, user: str, read: int) -> None:
        """Say which thread comes."""
        self._last, self._said = self._head(channel), set()
        self._say([f"The thread of message {root} in {printable_line(channel)}:"])

    def update(self, change: TimelineChanged) -> None:
        """Say what was not said yet."""
        new = {
            line.seq: line
            for line in change.upserts
            if line.seq is not None and line.seq <= self._last and line.seq not in self._said
        }
        self._said |= new.keys()
        self._say(f"{seq}. {spoken(line)}" for seq, line in new.items())

    def close(self) -> None:
        """Do nothing: what was said stays."""

    def composed(self) -> str:
        """Return the draft: here one writes with /reply, and leaves it as it is."""
        return self._text

    def compose_with(self, draft: Draft) -> None:
        """Keep the draft."""
        self._text = draft.text

    def give_back(self, text: str) -> None:
        """Do nothing: nothing is written here."""
