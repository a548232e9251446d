"""A broker within one process: without other servers, or with servers in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from chat.broker.port import Receiver

__all__ = ["MemoryBroker", "MemoryHub"]

MESSAGE_MAX = 1_048_576


class MemoryHub:
    """Connects the brokers of servers in one process."""

    def __init__(self) -> None:
        self.brokers: set[MemoryBroker] = set()

    def publish(self, subject: str, content: bytes) -> None:
        """Deliver a message to all subscribers in the next turn of the event loop."""
        loop = asyncio.get_running_loop()
        for broker in self.brokers:
            loop.call_soon(broker.receive, subject, content)


class MemoryBroker:
    """See `Broker`. Without a hub of its own process, it reaches nobody.

    Args:
        hub: connects it with other brokers.
    """

    is_up = True
    message_max = MESSAGE_MAX

    def __init__(self, hub: MemoryHub | None = None) -> None:
        self._hub = hub or MemoryHub()
        self._receiver: Receiver | None = None
        self._subjects: set[str] = set()

    def start(self, receiver: Receiver) -> None:
        """See `Broker`."""
        self._receiver = receiver
        self._hub.brokers.add(self)

    def publish(self, subject: str, content: bytes) -> None:
        """See `Broker`."""
        self._hub.publish(subject, content)

    def receive(self, subject: str, content: bytes) -> None:
        """Deliver a message if its subject is subscribed."""
        if self._receiver is not None and subject in self._subjects:
            self._receiver.message(subject, content)

    async def subscribe(self, subjects: Iterable[str]) -> None:
        """See `Broker`."""
        self._subjects.update(subjects)

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See `Broker`."""
        self._subjects.difference_update(subjects)

    async def close(self) -> None:
        """See `Broker`."""
        self._hub.brokers.discard(self)
        self._receiver = None
