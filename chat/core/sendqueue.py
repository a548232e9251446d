"""What waits to be written to one connection: bounded, and never blocking.

MUST: take a frame at once or refuse it; keep the order of durable frames; stay under its limit,
but for a single frame on its own (one commit can hold more than that); give up ephemeral frames
before it refuses a durable one.
MUST NOT: wait; copy frames (recipients with the same backlog share the same bytes); drop a durable
frame and go on, which would leave a hole.
"""

from __future__ import annotations

__all__ = ["SendQueue"]


class SendQueue:
    """Frames for one connection, in order.

    Args:
        limit: most bytes that may wait. Ephemeral frames are taken up to half of it.
    """

    __slots__ = ("_ephemeral", "_frames", "_limit", "size")

    def __init__(self, limit: int) -> None:
        self._frames: list[bytes] = []
        self._ephemeral: set[int] = set()
        self._limit = limit
        self.size = 0
        """Bytes that wait."""

    def put(self, frame: bytes) -> bool:
        """Add a durable frame; False: even without ephemeral frames there is no room.

        An empty queue takes any frame: its reader has not been slow yet.
        """
        if self.size + len(frame) > self._limit:
            self._drop_ephemeral()
            if self.size and self.size + len(frame) > self._limit:
                return False
        self._frames.append(frame)
        self.size += len(frame)
        return True

    def put_ephemeral(self, frame: bytes) -> None:
        """Add a frame that may be lost; it is, when the queue is half full."""
        if self.size + len(frame) > self._limit // 2:
            return
        self._ephemeral.add(len(self._frames))
        self._frames.append(frame)
        self.size += len(frame)

    def take(self) -> bytes:
        """Empty the queue into one piece of bytes for one write."""
        frames = self._frames
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        self.clear()
        return data

    def clear(self) -> None:
        """Forget everything."""
        self._frames = []
        if self._ephemeral:
            self._ephemeral.clear()
        self.size = 0

    def _drop_ephemeral(self) -> None:
        if not self._ephemeral:
            return
        self._frames = [
            frame for index, frame in enumerate(self._frames) if index not in self._ephemeral
        ]
        self._ephemeral.clear()
        self.size = sum(map(len, self._frames))
