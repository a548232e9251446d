"""Write operations: what a handler submits, and how its command is answered after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from chat.protocol.frames import ServerFrame
from chat.store.operations import Failure, Operation, Pending, PendingCall
from chat.store.store import Store

__all__ = ["Answered", "Submitter", "Write", "commit"]

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


async def commit(store: Store, operation: Operation[T]) -> T:
    """Submit an operation and wait for its result. Costs a task; `Store.submit` does not.

    Raises:
        CommandError: the operation is refused.
        StoreUnavailable: the database is not accepting writes.
    """
    committed: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(result: T) -> None:
        if not committed.cancelled():
            committed.set_result(result)

    def failed(failure: Failure) -> None:
        if not committed.cancelled():
            committed.set_exception(failure)

    store.submit([PendingCall(operation, done, failed)])
    return await committed
