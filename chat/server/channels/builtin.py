"""The built-in counter and echo, as channels and as bare endpoints.

`/counter` and `/echo` speak raw frames, without JSON and without `hello`, so that any WebSocket
client works with them unchanged. Nothing here is stored, and no timer outlives its connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from chat.errors import CloseCode
from chat.server.transport.connection import Connection
from chat.server.transport.outbound import binary_frame, text_frame

__all__ = ["CLOSE", "Counter", "RawCounter", "RawEcho"]

log = logging.getLogger(__name__)

CLOSE = "close"
"""What ends counting when a client sends it."""
INTERVAL = 1.0
"""Seconds between two numbers."""


class Counter:
    """Tells 0, 1, 2, … once a second, from now until `stop`.

    Args:
        loop: for its timer.
        tell: takes each number; when it fails, that is logged and the counter stops.
        interval: seconds between two numbers.
    """

    running = 0
    """How many count at this moment (told by `/healthz`)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[int], None],
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._tell = tell
        self._start = loop.time()
        self._number = 0
        Counter.running += 1
        self._timer: asyncio.Handle | None = loop.call_soon(self._tick)

    def stop(self) -> None:
        """Stop for good; may be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            Counter.running -= 1

    def _tick(self) -> None:
        try:
            self._tell(self._number)
        # `tell` is the caller's and may raise anything; no timer may outlive a failed send.
        except Exception:
            log.warning("cannot send a number; stopping the counter", exc_info=True)
            self.stop()
            return
        if self._timer is None:  # stopped while it told
            return
        # Counted from the start, so that delays do not add up.
        self._number += 1
        self._timer = self._loop.call_at(self._start + self._number * self._interval, self._tick)


class RawCounter:
    """The endpoint `/counter`: numbers as text frames, until the client sends `close` or goes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counter = Counter(connection.loop, self._tell)

    def text_received(self, text: str) -> None:
        """End on `close`; anything else is of no interest."""
        if text.strip() == CLOSE:
            self._connection.end(CloseCode.NORMAL, "")

    def binary_received(self, data: bytes) -> None:
        """Ignore bytes, but for those of `close`."""
        if data.strip() == CLOSE.encode():
            self._connection.end(CloseCode.NORMAL, "")

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Ignore it as well, and read the peer more slowly."""
        self._connection.charge(len(data))
        self.binary_received(data)

    def heartbeat(self) -> None:
        """Say nothing more."""

    def closed(self) -> None:
        """Stop counting."""
        self._counter.stop()

    def _tell(self, number: int) -> None:
        self._connection.outlet.send(text_frame(str(number).encode()))


class RawEcho:
    """The endpoint `/echo`: each message goes back as it came, text as text, bytes as bytes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def text_received(self, text: str) -> None:
        """Send the text back."""
        self._connection.outlet.send(text_frame(text.encode()))

    def binary_received(self, data: bytes) -> None:
        """Send the bytes back."""
        self._connection.outlet.send(binary_frame(data))

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Send it back, and read the peer more slowly: there is no frame to refuse it with."""
        self._connection.charge(len(data))
        if is_text:
            self.text_received(data.decode())
        else:
            self.binary_received(data)

    def heartbeat(self) -> None:
        """Say nothing more."""

    def closed(self) -> None:
        """There is nothing to let go."""
