"""Write operations: submitted once per event-loop turn, answered after their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from chat.errors import StoreUnavailable
from chat.protocol.frames import ServerFrame
from chat.store.operations import Failure, Operation, Pending, PendingCall
from chat.store.store import Store

__all__ = ["Answered", "Submitter", "Write", "Writes"]

T = TypeVar("T")

Answered = ServerFrame | bytes | Coroutine[Any, Any, ServerFrame | None] | None
"""The answer of a command: a frame, an encoded frame, or a read that returns a frame.

None: the handler has sent the answer.
"""


class Submitter(Protocol):
    """The session that submits a write."""

    def settle(self, write: Write[Any]) -> None:
        """Answer the command of a write: its outcome is known."""


class Write(Pending[T]):
    """A handler's operation, and how to answer its command after the commit.

    Args:
        operation: the operation.
        answer: called with its result, after the events of the commit were sent.
        refused: called before a refusal is sent.
    """

    __slots__ = ("answer", "command_id", "refused", "submitter")

    submitter: Submitter
    """Set with `command_id` when the session submits the write."""
    command_id: str | None

    def __init__(
        self,
        operation: Operation[T],
        answer: Callable[[T], Answered],
        refused: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(operation)
        self.answer = answer
        self.refused = refused

    def settle(self) -> None:
        """See `Pending`."""
        self.submitter.settle(self)


class Writes:
    """Batches the operations of one event-loop turn for the store's writer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        self._loop = loop
        self._store = store
        self._pending: list[Pending[Any]] = []

    def submit(self, pending: Pending[Any]) -> None:
        """Queue an operation; it is settled after the events of its commit were sent."""
        if not self._pending:
            self._loop.call_soon(self._submit)
        self._pending.append(pending)

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

        self.submit(PendingCall(operation, done, failed))
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
                pending.failure = closed
                pending.settle()
