"""The counter, and the raw WebSocket endpoints `/counter` and `/echo`.

The endpoints use raw frames, without JSON and `hello`, for any WebSocket client. Nothing is stored,
and a counter stops with its connection.
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
"""The message that stops a counter."""
INTERVAL = 1.0
"""Seconds between two numbers."""
RATE_FACTOR = 10
"""The rate limit of `/counter` and `/echo`, relative to that of a user."""


class Counter:
    """Sends 0, 1, 2, … once a second until `stop`.

    Args:
        loop: runs the timer.
        send: called with each number; an exception is logged and stops the counter.
        interval: seconds between two numbers.
    """

    running = 0
    """Number of running counters, shown by `/healthz`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[int], None],
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._send = send
        self._start = loop.time()
        self._number = 0
        Counter.running += 1
        self._timer: asyncio.Handle | None = loop.call_soon(self._tick)

    def stop(self) -> None:
        """Stop counting; further calls do nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            Counter.running -= 1

    def _tick(self) -> None:
        try:
            self._send(self._number)
        # `send` may raise any exception; the timer must stop with it.
        except Exception:
            log.warning("cannot send a number; stopping the counter", exc_info=True)
            self.stop()
            return
        if self._timer is None:  # stopped by `send`
            return
        # Scheduled relative to the start, so that delays do not add up.
        self._number += 1
        self._timer = self._loop.call_at(self._start + self._number * self._interval, self._tick)


class RawCounter:
    """The endpoint `/counter`: sends numbers as text until the client sends `close`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.limits_changed()
        self._counter = Counter(connection.loop, self._send)

    def text_received(self, text: str) -> None:
        """Close the connection on `close`; ignore other text."""
        if text.strip() == CLOSE:
            self._connection.end(CloseCode.NORMAL, "")

    def binary_received(self, data: bytes) -> None:
        """Close the connection on `close`; ignore other bytes."""
        if data.strip() == CLOSE.encode():
            self._connection.end(CloseCode.NORMAL, "")

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Handle the message, and read more slowly."""
        self._connection.charge(len(data))
        self.binary_received(data)

    def heartbeat(self) -> None:
        """Do nothing: this endpoint has no heartbeat frames."""

    def limits_changed(self) -> None:
        """Use the rate limit of raw endpoints."""
        self._connection.start_budget(times=RATE_FACTOR)

    def closed(self) -> None:
        """Stop counting."""
        self._counter.stop()

    def _send(self, number: int) -> None:
        self._connection.outlet.send(text_frame(str(number).encode()))


class RawEcho:
    """The endpoint `/echo`: returns each message as it is, text as text, bytes as bytes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.limits_changed()

    def text_received(self, text: str) -> None:
        """Send the text back."""
        self._connection.outlet.send(text_frame(text.encode()))

    def binary_received(self, data: bytes) -> None:
        """Send the bytes back."""
        self._connection.outlet.send(binary_frame(data))

    def rate_exceeded(self, is_text: bool, data: bytes, wait: float) -> None:
        """Send the message back, and read more slowly: raw endpoints have no error frames."""
        self._connection.charge(len(data))
        if is_text:
            self.text_received(data.decode())
        else:
            self.binary_received(data)

    def heartbeat(self) -> None:
        """Do nothing: this endpoint has no heartbeat frames."""

    def limits_changed(self) -> None:
        """Use the rate limit of raw endpoints."""
        self._connection.start_budget(times=RATE_FACTOR)

    def closed(self) -> None:
        """Do nothing: this endpoint has no resources."""
