"""The client's event loop, which ends in time even when a name lookup hangs."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["new_event_loop", "run"]

_T = TypeVar("_T")

if sys.platform == "win32":
    _Base = asyncio.ProactorEventLoop
else:
    _Base = asyncio.SelectorEventLoop


class _EventLoop(_Base):
    """Resolves host names in daemon threads.

    `getaddrinfo` cannot be interrupted, and asyncio runs it in an executor whose threads are
    joined when the loop and the interpreter end: a dead resolver would delay both by many
    seconds. Concurrent lookups of a name share one thread, however often the client retries.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Return the addresses of a host, as `socket.getaddrinfo` does."""
        asked = (host, port, family, type, proto, flags)
        if asked not in self._lookups:
            self._lookups[asked] = self.create_future()
            threading.Thread(
                target=self._look_up, args=asked, name="name-lookup", daemon=True
            ).start()
        return await asyncio.shield(self._lookups[asked])

    def _look_up(self, *asked: Any) -> None:
        found: Any
        try:
            found = socket.getaddrinfo(*asked)
        except (OSError, UnicodeError) as exc:
            found = exc
        with suppress(RuntimeError):  # the loop is closed
            self.call_soon_threadsafe(self._found, asked, found)

    def _found(self, asked: tuple[Any, ...], found: Any) -> None:
        lookup = self._lookups.pop(asked)
        if isinstance(found, Exception):
            lookup.set_exception(found)
            lookup.exception()  # marks it as retrieved: the waiting task may have been cancelled
        else:
            lookup.set_result(found)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop."""
    return _EventLoop()


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
