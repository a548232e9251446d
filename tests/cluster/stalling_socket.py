"""A proxy for the Unix socket of PostgreSQL that can stop forwarding, as a network does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self

__all__ = ["StallingSocket"]

NAME = ".s.PGSQL.5432"


class StallingSocket:
    """Forwards connections in `folder` to those in `target`; both are folders of sockets.

    While `is_stalled`, no data passes in either direction, and no connection is closed.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self._folder = folder
        self._target = target / NAME
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def stall(self) -> None:
        """Forward nothing until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again."""
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._folder.mkdir()
        self._server = await asyncio.start_unix_server(self._accept, self._folder / NAME)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far = None
        try:
            far_reader, far = await asyncio.open_unix_connection(self._target)
            await asyncio.gather(self._pump(reader, far), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for each in (writer, far):
                if each is not None:
                    each.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._flowing.wait()
            sink.write(data)
            with suppress(ConnectionError):
                await sink.drain()
        raise ConnectionResetError
