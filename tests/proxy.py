"""A TCP proxy with network faults: cut, stall, delay, half-close, throttle."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Self

__all__ = ["Fault", "Link", "Proxy"]

CHUNK = 65_536
DELAY = 0.3
"""Seconds of delay."""


class Fault(Enum):
    """The fault of a connection."""

    NONE = auto()
    STALL = auto()
    """No data in either direction; both ends believe that they are connected."""
    DELAY = auto()
    """All data is late."""
    THROTTLE = auto()
    """One byte a second."""


class Link:
    """One connection through the proxy; `fault` may change at any time."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.fault = Fault.NONE
        self._near, self._far = near, far

    def cut(self) -> None:
        """Reset both sides at once (RST)."""
        for writer in (self._near, self._far):
            if raw := writer.get_extra_info("socket"):
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def half_close(self) -> None:
        """Close the client's direction (FIN), and forward the server's."""
        with suppress(OSError):
            self._far.write_eof()


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards all data to a port, or to a Unix socket.

    Use it with `async with`; `links` are the open connections. With `rate`, the server's data is
    forwarded at that many bytes per second, and the network in between buffers little of it.
    """

    def __init__(self, target: int | Path, rate: float | None = None) -> None:
        self._rate = rate
        self.port = 0
        self.links: set[Link] = set()
        self._target = target
        self._fault = Fault.NONE
        self._is_refusing = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address to connect to instead of the server's."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in tuple(self.links):
            link.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """End all faults."""
        self._is_refusing = False
        self.spoil(Fault.NONE)

    def spoil(self, fault: Fault) -> None:
        """Let all connections have a fault, new ones included."""
        self._fault = fault
        for link in self.links:
            link.fault = fault

    def refuse(self) -> None:
        """Reset all connections, and new ones until `heal`."""
        self._is_refusing = True
        for link in tuple(self.links):
            link.cut()

    def choose(self, chance: random.Random) -> Link | None:
        """Return one of the connections."""
        return chance.choice(list(self.links)) if self.links else None

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far = await self._open()
        except OSError:
            near.transport.abort()
            self._tasks.discard(task)
            return
        link = Link(near, far)
        link.fault = self._fault
        self.links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, far),
                self._deliver(link, far_reader, near),
                return_exceptions=True,
            )
        finally:
            link.cut()
            self.links.discard(link)
            self._tasks.discard(task)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._is_refusing:
            raise ConnectionRefusedError
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        raw = socket.socket()
        try:
            if self._rate:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._target))
        except OSError:
            raw.close()
            raise
        return await asyncio.open_connection(sock=raw, limit=16_384)

    async def _deliver(
        self, link: Link, source: asyncio.StreamReader, near: asyncio.StreamWriter
    ) -> None:
        """Forward what the server sends."""
        await self._pump(link, source, near, self._rate)

    async def _pump(
        self,
        link: Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        rate: float | None = None,
    ) -> None:
        try:
            while data := await source.read(CHUNK):
                if rate:
                    await asyncio.sleep(len(data) / rate)
                await self._pass(link, data, sink)
            sink.write_eof()
        except OSError:
            link.cut()

    async def _pass(self, link: Link, data: bytes, sink: asyncio.StreamWriter) -> None:
        while data:
            while link.fault is Fault.STALL:
                await asyncio.sleep(0.05)
            if link.fault is Fault.THROTTLE:
                sink.write(data[:1])
                data = data[1:]
                await asyncio.sleep(1.0)
                continue
            if link.fault is Fault.DELAY:
                await asyncio.sleep(DELAY)
            sink.write(data)
            await sink.drain()
            return
