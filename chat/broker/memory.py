"""The broker of a single server: delivers in the call that publishes."""

from __future__ import annotations

from collections.abc import Sequence

from chat.broker.port import Deliver
from chat.protocol.items import Event

__all__ = ["MemoryBroker"]


class MemoryBroker:
    """A `Broker` within one process; here nothing is lost, repeated or reordered."""

    def __init__(self) -> None:
        self._deliver: Deliver | None = None

    def subscribe(self, deliver: Deliver) -> None:
        """Name the one who takes events."""
        self._deliver = deliver

    def publish(self, events: Sequence[Event]) -> None:
        """Deliver now."""
        assert self._deliver is not None
        self._deliver(events)
