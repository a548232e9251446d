"""Outgoing frames of one connection: coalesced per event-loop turn, bounded in bytes.

An `Outlet` accepts or refuses a frame at once, and keeps the order of durable frames. Its buffer
stays below a limit, except for a single frame in an empty buffer (the events of one commit can
exceed the limit). It drops ephemeral frames before it refuses a durable frame. It never waits,
never copies frames (recipients share the same bytes), and never skips a durable frame: that would
leave a gap in the client's log.

The frames of one event-loop turn leave in one write. While the peer does not read, they stay in the
buffer. Every fan-out loops over outlets: they are separate, small objects, so that a loop over a
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
"""Unsent bytes above which `Outlet.drain` waits."""
TEXT, BINARY = 0x81, 0x82
"""The first byte of a whole, unfragmented message (RFC 6455 section 5.2)."""


def text_frame(payload: bytes) -> bytes:
    """Return a WebSocket text frame: header and payload."""
    return _header(TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return a WebSocket binary frame: header and payload."""
    return _header(BINARY, len(payload)) + payload


@lru_cache(maxsize=4_096)  # 0.2 µs for each frame; the library's `Frame.serialize` takes 0.9 µs
def _header(kind: int, length: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", kind, length)
    if length < 65_536:
        return struct.pack("!BBH", kind, 126, length)
    return struct.pack("!BBQ", kind, 127, length)


class WriteCoalescer:
    """Flushes the marked outlets once per event-loop turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._dirty: list[Outlet] = []
        self.paused: set[Outlet] = set()
        """Open outlets whose peer does not read: only they keep a buffer beyond a turn."""

    def mark(self, outlet: Outlet) -> None:
        """Schedule a flush of `outlet` at the end of this turn."""
        if not self._dirty:
            self._loop.call_soon(self.flush)
        self._dirty.append(outlet)

    def flush(self) -> None:
        """Flush all marked outlets."""
        dirty, self._dirty = self._dirty, []
        for outlet in dirty:
            outlet.flush()


class Outlet:
    """The send buffer of one connection. No method blocks or raises.

    Args:
        coalescer: shared by all outlets of the loop.
        limit: maximum of buffered bytes while the peer does not read. Ephemeral frames use up to
            half of it.
        overflowed: called when a durable frame exceeds the limit; it must close the connection.
    """

    __slots__ = (
        "_coalescer",
        "_drain_waiters",
        "_ephemeral",
        "_frames",
        "_overflowed",
        "_size",
        "_transport",
        "_write",
        "is_paused",
        "limit",
        "pending_answers",
    )

    def __init__(
        self, coalescer: WriteCoalescer, limit: int, overflowed: Callable[[], None]
    ) -> None:
        self.pending_answers = 0
        """Number of the peer's commands that are not answered yet."""
        self.is_paused = False
        """Whether the peer does not read."""
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None] | None = None
        """The transport's `write`; None while frames are buffered or the peer does not read. One
        check instead of four saves 0.5 µs of the 8 µs of a delivery."""
        self._frames: list[bytes] = []
        """Buffered frames, in order."""
        self._size = 0
        """Bytes of `_frames`."""
        self._ephemeral: list[int] = []
        """Indexes of the ephemeral frames in `_frames`."""
        self.limit = limit
        """Most bytes of `_frames` while the peer does not read."""
        self._drain_waiters: deque[asyncio.Future[None]] = deque()
        self._coalescer = coalescer
        self._overflowed = overflowed

    def open(self, transport: asyncio.Transport) -> None:
        """Start sending: the handshake is done."""
        self._transport = transport
        self._write = transport.write

    def close(self) -> None:
        """Discard the buffer, and send nothing more."""
        self._transport = self._write = None
        self._coalescer.paused.discard(self)
        self._clear()
        for waiter in self._drain_waiters:
            waiter.cancel()
        self._drain_waiters.clear()

    @property
    def queued(self) -> int:
        """Bytes that are not written to the peer's socket: buffered here, or in the transport."""
        transport = self._transport
        return self._size + (0 if transport is None else transport.get_write_buffer_size())

    async def drain(self) -> None:
        """Wait until most of the buffer is written; callers proceed one at a time.

        Cancelled when the connection is over.
        """
        if self.is_backed_up:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drain_waiters.append(waiter)
            await waiter

    @property
    def is_empty(self) -> bool:
        """Whether no frame is buffered, and the peer reads."""
        return not self._frames and not self.is_paused

    @property
    def is_backed_up(self) -> bool:
        """Whether `drain` would wait."""
        return bool(self._drain_waiters) or not self._is_drained()

    def _is_drained(self) -> bool:
        return not self.is_paused and self._size <= BACKLOG_MAX

    def _wake_next(self) -> None:
        """Wake the next caller of `drain`; the others follow after its frames are written."""
        while self._drain_waiters and self._is_drained():
            waiter = self._drain_waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                if self._drain_waiters:
                    self._coalescer.mark(self)
                return

    def pause(self) -> None:
        """Buffer all frames: the peer does not read."""
        self.is_paused = True
        self._write = None
        if self._transport is not None:
            self._coalescer.paused.add(self)

    def resume(self) -> None:
        """Write the buffer: the peer reads again."""
        self.is_paused = False
        self._coalescer.paused.discard(self)
        self.flush()

    def send(self, frame: bytes) -> None:
        """Send one or more whole WebSocket frames at the end of this event-loop turn."""
        size = len(frame)
        if not self._frames and not self.is_paused:
            self._write = None
            self._coalescer.mark(self)
        elif self._size + size > self.limit and not self._make_room(size):
            return
        # Otherwise a flush is already scheduled, or `resume` does it.
        self._frames.append(frame)
        self._size += size

    def send_now(self, frame: bytes) -> None:
        """Send like `send`, but at once if nothing is buffered.

        While the peer has pending answers, the frame waits, so that an event and the `ok` of its
        sender leave in one write.
        """
        write = self._write
        if write is None or self.pending_answers:
            self.send(frame)
            return
        try:
            write(frame)
        except Exception:  # see `_write_failed`
            self._write_failed()

    def send_ephemeral(self, frame: bytes) -> None:
        """Send a frame that may be dropped if the peer reads slowly."""
        if not self._frames and not self.is_paused:
            self.send(frame)
        elif self._size + len(frame) <= self.limit // 2:
            self._ephemeral.append(len(self._frames))
            self._frames.append(frame)
            self._size += len(frame)

    def flush(self) -> None:
        """Write the buffer, unless the peer does not read."""
        transport = self._transport
        if not self.is_paused and transport is not None:
            self._write = write = transport.write
            if frames := self._frames:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                self._clear()
                try:
                    write(data)
                except Exception:  # see `_write_failed`
                    self._write_failed()
        if self._drain_waiters:
            self._wake_next()

    def _clear(self) -> None:
        self._frames.clear()
        self._size = 0
        if self._ephemeral:
            self._ephemeral.clear()

    def _make_room(self, size: int) -> bool:
        """Make room for a durable frame of `size` bytes; False: the outlet has overflowed.

        An empty buffer accepts a frame of any size: the peer has not been slow so far.
        """
        if self._ephemeral:
            dropped = set(self._ephemeral)
            self._frames = [frame for at, frame in enumerate(self._frames) if at not in dropped]
            self._size = sum(map(len, self._frames))
            self._ephemeral.clear()
        if not self._frames or self._size + size <= self.limit:
            return True
        if self.is_paused:
            self._overflowed()
            return False
        self.flush()  # the peer reads; this turn has produced many frames
        self._write = None
        return True

    def _write_failed(self) -> None:
        # A write on a closing connection raises; the type depends on the transport. Raising it here
        # would stop a fan-out, and the remaining recipients would miss an event.
        log.debug("write failed; aborting the connection", exc_info=True)
        if self._transport is not None:
            self._transport.abort()
