"""What leaves on one connection: at once or with the turn's other frames, and bounded in all.

What a turn of the event loop brings for one peer leaves in one write; while the peer does not read,
it waits in a `SendQueue`. This is the hot end of every fan-out: a small object of its own, so that
a walk through a thousand of them touches little memory.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from functools import lru_cache

from chat.core.sendqueue import SendQueue

__all__ = ["Flusher", "Outlet", "binary_frame", "text_frame"]

log = logging.getLogger(__name__)

TEXT, BINARY = 0x81, 0x82
"""The first byte of a whole, unfragmented message (RFC 6455 section 5.2)."""


def text_frame(payload: bytes) -> bytes:
    """Return the WebSocket frame of a text: header and payload, for any number of recipients."""
    return _header(TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return the WebSocket frame of bytes."""
    return _header(BINARY, len(payload)) + payload


@lru_cache(maxsize=4_096)  # with the library's `Frame.serialize`, each frame cost 0.9 µs, now 0.2
def _header(kind: int, length: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", kind, length)
    if length < 65_536:
        return struct.pack("!BBH", kind, 126, length)
    return struct.pack("!BBQ", kind, 127, length)


class Flusher:
    """Flushes, once per turn of the event loop, all outlets that have something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Outlet] = []

    def mark(self, outlet: Outlet) -> None:
        """Have `outlet` flushed at the end of this turn."""
        if not self._dirty:
            self._loop.call_soon(self.flush)
        self._dirty.append(outlet)

    def flush(self) -> None:
        """Write now."""
        dirty, self._dirty = self._dirty, []
        for outlet in dirty:
            outlet.flush()


class Outlet:
    """The sending end of one connection. No method waits or raises.

    Args:
        flusher: shared by all outlets of the loop.
        limit: bytes that may wait for a peer that does not read.
        overflowed: called when even more would have to wait: the peer is to be cut.
    """

    __slots__ = (
        "_flusher",
        "_is_open",
        "_overflowed",
        "_piece",
        "_queue",
        "_transport",
        "answers_due",
        "is_paused",
    )

    def __init__(self, flusher: Flusher, limit: int, overflowed: Callable[[], None]) -> None:
        self.answers_due = 0
        """Commands of the peer that await their answers."""
        self.is_paused = False
        """Whether the peer must first read what was written for it."""
        self._is_open = False
        self._transport: asyncio.Transport
        self._piece: bytes | None = None
        """What this turn brought, while that is one piece; more of it waits in the queue."""
        self._queue = SendQueue(limit)
        self._flusher = flusher
        self._overflowed = overflowed

    def open(self, transport: asyncio.Transport) -> None:
        """Begin to send: the handshake is done."""
        self._transport = transport
        self._is_open = True

    def close(self) -> None:
        """Forget what waits, and take nothing more."""
        self._is_open = False
        self._piece = None
        self._queue.clear()

    def pause(self) -> None:
        """Keep what comes: the peer does not read."""
        self.is_paused = True

    def resume(self) -> None:
        """Go on: the peer has read."""
        self.is_paused = False
        self.flush()

    def send(self, frame: bytes) -> None:
        """Send one or more whole WebSocket frames, with what else the turn brings."""
        # What a turn brings is one piece for nearly every recipient. It waits outside of the queue:
        # two short calls until it is written, where the queue's own took 1 µs more.
        if self._piece is None and not self._queue.size and not self.is_paused:
            self._piece = frame
        else:
            self._queue_piece()
            if not self._queue.put(frame):
                self._overflow(frame)
        self._flusher.mark(self)  # twice is once: the second flush finds nothing

    def send_now(self, frame: bytes) -> None:
        """Send as `send` does, but do not wait for what else the turn may bring.

        Only a peer that awaits answers has it wait: event and `ok` leave in one write.
        """
        if self.answers_due or self.is_paused or self._piece is not None or self._queue.size:
            self.send(frame)
        else:
            self._write(frame)

    def send_ephemeral(self, frame: bytes) -> None:
        """Send a frame that may be lost when the peer reads slowly."""
        if self._piece is None and not self._queue.size and not self.is_paused:
            self.send(frame)
        else:
            self._queue_piece()
            self._queue.put_ephemeral(frame)

    def flush(self) -> None:
        """Write what waits, unless the peer must first read what it was sent."""
        piece = self._piece
        if self.is_paused:
            self._queue_piece()
        elif piece is not None:
            self._piece = None
            self._write(piece)
        elif self._queue.size:
            self._write(self._queue.take())

    def _queue_piece(self) -> None:
        if self._piece is not None:
            self._queue.put(self._piece)  # it is empty, and takes anything
            self._piece = None

    def _overflow(self, frame: bytes) -> None:
        if self.is_paused:
            self._overflowed()
        else:  # not the peer's fault: this turn brought a lot
            self.flush()
            self._queue.put(frame)

    def _write(self, data: bytes) -> None:
        if not self._is_open:
            return
        # A direct write on a connection that is closing raises (websockets 17).
        try:
            self._transport.write(data)
        except Exception:
            log.debug("a write failed; the connection is cut", exc_info=True)
            self._transport.abort()
