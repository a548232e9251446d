"""Outgoing frames of one connection: coalesced per event-loop turn, bounded in bytes.

MUST: take a frame at once or refuse it; keep the order of durable frames; stay under its limit,
but for a single frame on its own (one commit can hold more than that); give up ephemeral frames
before it refuses a durable one.
MUST NOT: wait; copy frames (recipients with the same backlog share the same bytes); drop a durable
frame and go on, which would leave a hole.

What a turn of the event loop brings for one peer leaves in one write; while the peer does not read,
it waits. This is the hot end of every fan-out: a small object of its own, so that a walk through a
thousand of them touches little memory.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable
from functools import lru_cache

__all__ = ["Outlet", "WriteCoalescer", "binary_frame", "text_frame"]


log = logging.getLogger(__name__)

BACKLOG_MAX = 32_768
"""Bytes that may wait while more of what can wait is sent; see `Outlet.taken`."""
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


class WriteCoalescer:
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
        limit: bytes that may wait for a peer that does not read. Ephemeral frames are taken up to
            half of it.
        overflowed: called when even more would have to wait: the peer is to be cut.
    """

    __slots__ = (
        "_awaiting",
        "_direct",
        "_ephemeral",
        "_flusher",
        "_frames",
        "_limit",
        "_overflowed",
        "_size",
        "_transport",
        "answers_due",
        "is_paused",
    )

    def __init__(self, flusher: WriteCoalescer, limit: int, overflowed: Callable[[], None]) -> None:
        self.answers_due = 0
        """Commands of the peer that await their answers."""
        self.is_paused = False
        """Whether the peer must first read what was written for it."""
        self._transport: asyncio.Transport | None = None
        self._direct: Callable[[bytes], None] | None = None
        """What writes to the peer at once; None while anything has to be written before, or the
        peer does not read. One look instead of four: 0.5 µs of the 8 that a delivery takes."""
        self._frames: list[bytes] = []
        """What waits, in order: for the end of the turn, or until the peer reads."""
        self._size = 0
        """Bytes of it."""
        self._ephemeral: list[int] = []
        """The places in `_frames` of those that may be lost."""
        self._limit = limit
        self._awaiting: deque[asyncio.Future[None]] = deque()
        self._flusher = flusher
        self._overflowed = overflowed

    def open(self, transport: asyncio.Transport) -> None:
        """Begin to send: the handshake is done."""
        self._transport = transport
        self._direct = transport.write

    def close(self) -> None:
        """Forget what waits, and take nothing more."""
        self._transport = self._direct = None
        self._forget()
        for taken in self._awaiting:
            taken.cancel()
        self._awaiting.clear()

    async def taken(self) -> None:
        """Wait until the peer has taken most of what it was sent; one caller after the other.

        Cancelled when the connection is over.
        """
        if self.is_backed_up:
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._awaiting.append(taken)
            await taken

    @property
    def is_backed_up(self) -> bool:
        """Whether the peer must first take what it was sent, or others wait for that."""
        return bool(self._awaiting) or not self._has_room()

    def _has_room(self) -> bool:
        return not self.is_paused and self._size <= BACKLOG_MAX

    def _go_on(self) -> None:
        """Let the next one go on who waits; the others follow when it has sent, or not."""
        while self._awaiting and self._has_room():
            taken = self._awaiting.popleft()
            if not taken.done():
                taken.set_result(None)
                if self._awaiting:
                    self._flusher.mark(self)
                return

    def pause(self) -> None:
        """Keep what comes: the peer does not read."""
        self.is_paused = True
        self._direct = None

    def resume(self) -> None:
        """Go on: the peer has read."""
        self.is_paused = False
        self.flush()

    def send(self, frame: bytes) -> None:
        """Send one or more whole WebSocket frames, with what else the turn brings."""
        size = len(frame)
        if not self._frames and not self.is_paused:
            self._direct = None
            self._flusher.mark(self)
        elif self._size + size > self._limit and not self._make_room(size):
            return
        # else: a flush is to come already, that of this turn or the one of `resume`
        self._frames.append(frame)
        self._size += size

    def send_now(self, frame: bytes) -> None:
        """Send as `send` does, but do not wait for what else the turn may bring.

        Only a peer that awaits answers has it wait: event and `ok` leave in one write.
        """
        write = self._direct
        if write is None or self.answers_due:
            self.send(frame)
            return
        try:
            write(frame)
        except Exception:  # see `_failed`
            self._failed()

    def send_ephemeral(self, frame: bytes) -> None:
        """Send a frame that may be lost when the peer reads slowly."""
        if not self._frames and not self.is_paused:
            self.send(frame)
        elif self._size + len(frame) <= self._limit // 2:
            self._ephemeral.append(len(self._frames))
            self._frames.append(frame)
            self._size += len(frame)

    def flush(self) -> None:
        """Write what waits, unless the peer must first read what it was sent."""
        transport = self._transport
        if not self.is_paused and transport is not None:
            self._direct = write = transport.write
            if frames := self._frames:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                self._forget()
                try:
                    write(data)
                except Exception:  # see `_failed`
                    self._failed()
        if self._awaiting:
            self._go_on()

    def _forget(self) -> None:
        self._frames.clear()
        self._size = 0
        if self._ephemeral:
            self._ephemeral.clear()

    def _make_room(self, size: int) -> bool:
        """Make room for a durable frame of `size` bytes; False: the peer is given up.

        If nothing waits, any frame is taken: its reader has not been slow yet.
        """
        if self._ephemeral:
            lost = set(self._ephemeral)
            self._frames = [frame for at, frame in enumerate(self._frames) if at not in lost]
            self._size = sum(map(len, self._frames))
            self._ephemeral.clear()
        if not self._frames or self._size + size <= self._limit:
            return True
        if self.is_paused:
            self._overflowed()
            return False
        self.flush()  # not the peer's fault: this turn brought a lot
        self._direct = None
        return True

    def _failed(self) -> None:
        # A direct write on a connection that is closing raises; what, depends on the transport.
        # Were it let out, a fan-out would end here, and who comes later in it would miss an event.
        log.debug("a write failed; the connection is cut", exc_info=True)
        if self._transport is not None:
            self._transport.abort()
