"""The `Broker` port: what every implementation promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from chat.protocol.items import Event

__all__ = ["Broker", "Deliver"]

Deliver = Callable[[Sequence[Event]], None]
"""Takes committed events; called on the event loop, must not block or raise."""


class Broker(Protocol):
    """Carries committed events to every server that has followers of their channels.

    Order: within a channel, `deliver` sees a server's own events in the order of `seq`.
    Delivery: a hint, no promise. A broker between machines may lose, repeat or reorder; whoever
    sees a number that does not follow the last one reads the log, which is the truth.
    Blocking: `publish` never waits.
    """

    def subscribe(self, deliver: Deliver) -> None:
        """Name the one who takes events; called once, before the first `publish`."""

    def publish(self, events: Sequence[Event]) -> None:
        """Pass on events that are committed; called on the event loop."""
