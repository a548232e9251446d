"""Writes: submitted to the store once for each event-loop turn, answered after their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chat.errors import StoreUnavailable
from chat.protocol.frames import ServerFrame
from chat.store.operations import Failure, Operation, Pending
from chat.store.store import Store

__all__ = ["Write", "Writes"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Write(Generic[T]):
    """What a command changes, and what its answer is once that is committed."""

    operation: Operation[T]
    answer: Callable[[T], ServerFrame | Coroutine[Any, Any, ServerFrame | None] | None]
    """Takes the operation's result, after the events of the commit were sent."""
    refused: Callable[[], None] | None = None
    """Called before the refusal is sent, if it is refused."""


class Writes:
    """The operations of this event-loop turn, on their way to the store."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._loop = loop
        self._store = store
        self._written: list[Pending[Any]] = []

    def submit(
        self,
        operation: Operation[T],
        done: Callable[[T], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """Hand an operation to the writer.

        `done` or `failed` is called on the event loop, after the events of the commit were sent.
        """
        if not self._written:
            self._loop.call_soon(self._submit)
        self._written.append(Pending(operation, done, failed))

    async def commit(self, operation: Operation[T]) -> T:
        """Do as `submit` does, and wait for the result; where a task for it is not too much.

        Raises:
            CommandError: the operation is refused.
            StoreUnavailable: the database is not accepting writes.
        """
        committed: asyncio.Future[T] = self._loop.create_future()

        def done(result: T) -> None:
            if not committed.cancelled():
                committed.set_result(result)

        def failed(failure: Failure) -> None:
            if not committed.cancelled():
                committed.set_exception(failure)

        self.submit(operation, done, failed)
        return await committed

    def _submit(self) -> None:
        """Submit the operations of the turn at once.

        One by one, the writer began with the first (uvloop lets other threads run before each
        callback): commits of two or three operations, four times as many as are needed.
        """
        written, self._written = self._written, []
        try:
            self._store.submit(written)
        except StoreUnavailable as closed:  # the server is stopping
            for pending in written:
                pending.failed(closed)
