"""Send typing and presence, at most so often. Clock injected, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from chat.protocol.values import Status

__all__ = ["TYPING_EVERY", "Ephemeral", "Teller"]

TYPING_EVERY = 3.0
"""Seconds between two commands that say one is typing, however fast one types."""


class Teller(Protocol):
    """Tells the server, or nobody while offline."""

    def tell_status(self, status: Status) -> None:
        """Say how one is."""

    def tell_typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Say that one types, or not any more."""


class Ephemeral:
    """Says as little as is needed.

    Args:
        teller: passes it on.
        clock: seconds that only go forward.
    """

    def __init__(self, teller: Teller, clock: Callable[[], float]) -> None:
        self._teller = teller
        self._clock = clock
        self._status: Status = "online"
        self._typing: dict[str, float] = {}

    def connected(self) -> None:
        """Begin with a new connection, which knows nothing."""
        self._typing.clear()
        if self._status != "online":
            self.status(self._status)

    def status(self, status: Status) -> None:
        """Say how one is; said again on every new connection."""
        self._status = status
        self._teller.tell_status(status)

    def typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Tell that one types, or not any more."""
        told = self._typing.get(channel)
        now = self._clock()
        if state == "stop":
            if self._typing.pop(channel, None) is None:
                return
        elif told is not None and now - told < TYPING_EVERY:
            return
        else:
            self._typing[channel] = now
        self._teller.tell_typing(channel, state)
