"""What a run needs of its servers, and the deployment of one server on SQLite behind a proxy."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from tests.consistency.faults import FailingServer, Injector, ServerInjector
from tests.proxy import Proxy

__all__ = ["Deployment", "OneServer"]


class Deployment(ABC):
    """Running servers with one store.

    Args:
        servers: the servers, not yet started.
    """

    store: str
    """The URL of the database, for operators; no fault is injected between them."""

    def __init__(self, servers: Sequence[FailingServer]) -> None:
        self.servers = servers
        self._stack = AsyncExitStack()

    @property
    def urls(self) -> list[str]:
        """The addresses of all servers."""
        return [server.url for server in self.servers]

    @abstractmethod
    def way(self, number: int) -> Callable[[], str]:
        """Return a function that returns the address for the next connection of a client."""

    @abstractmethod
    def injector(self, chance: random.Random) -> Injector:
        """Return an injector of all faults of these servers."""

    async def start(self) -> None:
        """Start all servers."""
        for server in self.servers:
            await asyncio.to_thread(server.start)

    async def kill(self) -> None:
        """Kill all servers (`kill -9`)."""
        for server in self.servers:
            await asyncio.to_thread(server.kill)

    async def burdens(self) -> list[object]:
        """Return how many connections, tasks and timers each server holds, or its problem."""
        return [await asyncio.to_thread(_burden, server) for server in self.servers]

    def output(self) -> list[str]:
        """Return all that the servers printed."""
        return [line for server in self.servers for line in server.output]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill()
        await self._stack.aclose()


class OneServer(Deployment):
    """One server; half of the clients reach it through a proxy.

    Args:
        data: the server's data directory.
        sabotage: the safeguard to disable.
    """

    def __init__(self, data: Path, sabotage: str = "") -> None:
        super().__init__([FailingServer(data, sabotage=sabotage)])
        self.store = f"sqlite:///{data}/chat.db"

    async def __aenter__(self) -> Self:
        await self.start()
        self._proxy = await self._stack.enter_async_context(Proxy(self.servers[0].port))
        return self

    def way(self, number: int) -> Callable[[], str]:
        """Return the way of a client: an odd one's leads through the proxy."""
        return lambda: self._proxy.url if number % 2 else self.servers[0].url

    def injector(self, chance: random.Random) -> Injector:
        """Return an injector of the server's and the proxy's faults."""
        return ServerInjector(self.servers[0], self._proxy, chance)


def _burden(server: FailingServer) -> object:
    try:
        return server.burden()
    except AssertionError as exc:  # it reports that its store is unavailable
        return str(exc)
