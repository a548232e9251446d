"""The port of brokers: publish and subscribe between servers, without any promise of arrival.

A message may be lost, doubled, late, or out of order, and anyone with access to the broker may
have sent it. Receivers check what they receive, and find what is missing in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Broker", "Receiver"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """The callbacks of a broker's user, called on the event loop; they must not block."""

    message: Callable[[str, bytes], None]
    """Gets the subject and the content of a message."""
    gap: Callable[[], None]
    """Messages may have been lost: the connection is new, or messages arrived too fast."""
    state_changed: Callable[[bool], None]
    """The broker can be reached, or no longer."""


class Broker(Protocol):
    """Carries messages between servers; used on the event loop.

    Delivery: at most once, in no promised order. A server also receives its own messages.

    Failures: no method raises because the broker cannot be reached. Messages published meanwhile
    are lost; the broker reconnects by itself, without end, and then calls `Receiver.gap`.
    """

    @property
    def is_up(self) -> bool:
        """Whether the broker can be reached now."""

    @property
    def message_max(self) -> int:
        """The maximum bytes of a message's content."""

    def start(self, receiver: Receiver) -> None:
        """Connect in the background."""

    def publish(self, subject: str, content: bytes) -> None:
        """Send a message without waiting; it is dropped if too many wait already."""

    async def subscribe(self, subjects: Iterable[str]) -> None:
        """Receive the messages of these subjects, also after a reconnect.

        Returns once no message that is published from now on is missed; at once if the broker
        cannot be reached: `Receiver.gap` follows the reconnect.
        """

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """Receive messages of these subjects no longer; a few may still arrive."""

    async def close(self) -> None:
        """Send what was published, for at most a second, and disconnect."""
