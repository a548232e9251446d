"""Write operations: submitted once per event-loop turn, answered after their commit."""

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
    """A handler's operation, and how to answer the command after the commit."""

    operation: Operation[T]
    answer: Callable[[T], ServerFrame | Coroutine[Any, Any, ServerFrame | None] | None]
    """Called with the operation's result, after the events of the commit were sent."""
    refused: Callable[[], None] | None = None
    """Called before a refusal is sent."""


class Writes:
    """Batches the operations of one event-loop turn for the store's writer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._loop = loop
        self._store = store
        self._pending: list[Pending[Any]] = []

    def submit(
        self,
        operation: Operation[T],
        done: Callable[[T], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """Queue an operation for the writer.

        `done` or `failed` is called on the event loop, after the events of the commit were sent.
        """
        if not self._pending:
            self._loop.call_soon(self._submit)
        self._pending.append(Pending(operation, done, failed))

    async def commit(self, operation: Operation[T]) -> T:
        """Submit an operation and wait for its result. Costs a task; `submit` does not.

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
        """Submit all operations of the turn at once.

        Submitted one by one, they wake the writer too early (uvloop lets other threads run before
        each callback), which makes four times as many commits.
        """
        batch, self._pending = self._pending, []
        try:
            self._store.submit(batch)
        except StoreUnavailable as closed:  # the server is stopping
            for pending in batch:
                pending.failed(closed)
