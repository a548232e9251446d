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
    """Looks names up in daemon threads.

    `getaddrinfo` cannot be interrupted, and asyncio runs it in an executor whose threads are
    joined when the loop and when the interpreter ends: a dead resolver would delay both by
    many seconds. A lookup that is under way is shared, so a hanging resolver holds one thread per
    name, however often the client tries again.
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
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.call_soon_threadsafe(self._found, asked, found)

    def _found(self, asked: tuple[Any, ...], found: Any) -> None:
        lookup = self._lookups.pop(asked)
        if isinstance(found, Exception):
            lookup.set_exception(found)
            lookup.exception()  # whoever waited may have given up
        else:
            lookup.set_result(found)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop of this kind."""
    return _EventLoop()


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
