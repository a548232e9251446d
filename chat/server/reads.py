"""Reads of the log for handlers: batched by event-loop turn, fair between sessions and people."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from chat.errors import CommandError, ErrorCode, StoreFault, StoreUnavailable
from chat.server.transport.connection import Connection
from chat.store.operations import User
from chat.store.read.reader import Reader
from chat.store.store import Store

__all__ = ["ReadBatcher", "Reads", "Turns"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Query = Callable[[Reader], T]

BATCH_MAX = 16
"""Reads in one snapshot. In a larger batch, a short read waits too long for the others."""
INTERNAL_ERROR = "internal server error; see the server's log"
UNREADABLE = "the server cannot read its database; try again later"


class Reads:
    """Queries for handlers, run in the store's threads. All methods raise `CommandError`."""

    def __init__(self, store: Store) -> None:
        self._history = ReadBatcher(lambda query: store.read(query))
        self._welcomes = ReadBatcher(lambda query: store.welcome(query))
        self._searches = ReadBatcher(lambda query: store.search(query), batch_max=1)
        self._session_turns = Turns()
        self._person_turns = Turns()
        self._search_turns = Turns()

    async def log(self, connection: Connection, user: User, query: Query[T]) -> T:
        """Run `query`; each session, and each person, has one such read at a time.

        A read starts once most of the session's outlet is drained, so a peer that does not read
        causes no reads.
        """
        await self._session_turns.take(connection)
        try:
            await connection.outlet.drain()
            return await _in_turn(self._person_turns, user.id, self._history, query)
        finally:
            self._session_turns.end(connection)

    async def search(self, user: User, query: Query[T]) -> T:
        """Run a slow `query`, which delays other searches only; each person has one at a time."""
        return await _in_turn(self._search_turns, user.id, self._searches, query)

    async def welcome(self, query: Query[T]) -> T:
        """Run `query` in the thread that is reserved for sign-ins."""
        return await self._welcomes.read(query)


async def _in_turn(turns: Turns, user: int, batcher: ReadBatcher, query: Query[T]) -> T:
    """Run `query` in the person's turn, which lasts until the read is over, even if cancelled.

    Otherwise a peer that reconnects again and again could have many reads running.
    """
    await turns.take(user)
    return await batcher.read(query, lambda: turns.end(user))


class Turns:
    """A first-in, first-out lock for each key."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, key: Hashable) -> None:
        """Wait for the turn, which lasts until `end`. A cancelled call has no turn to end."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn was given just before
                self.end(key)
            raise

    def end(self, key: Hashable) -> None:
        """End the current turn, and start the next one."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


@dataclass(slots=True)
class _PendingRead:
    query: Query[Any]
    result: asyncio.Future[Any]
    ended: Callable[[], None]

    def resolve(self, found: Any) -> None:
        """Set the result or the `CommandError`, unless the future was cancelled."""
        self.ended()
        if self.result.cancelled():
            return
        if isinstance(found, CommandError):
            self.result.set_exception(found)
        else:
            self.result.set_result(found)


class ReadBatcher:
    """Runs the reads of one event-loop turn in one snapshot, with one thread call.

    A group commit of thirty sign-ins starts thirty reads in one turn. A transaction and two thread
    switches for each of them took longer than the reads.

    Args:
        run: runs a query on a snapshot, in a thread.
        batch_max: maximum of reads in one snapshot.
    """

    def __init__(
        self, run: Callable[[Query[Any]], Future[Any]], *, batch_max: int = BATCH_MAX
    ) -> None:
        self._run = run
        self._batch_max = batch_max
        self._pending: list[_PendingRead] = []

    def read(self, query: Query[T], ended: Callable[[], None] = lambda: None) -> asyncio.Future[T]:
        """Run `query` with the other reads of this turn; the future raises `CommandError`.

        `ended` is called once the thread has run the query, even if the future was cancelled.
        """
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._run_pending, loop)
        result: asyncio.Future[T] = loop.create_future()
        self._pending.append(_PendingRead(query, result, ended))
        return result

    def _run_pending(self, loop: asyncio.AbstractEventLoop) -> None:
        pending, self._pending = self._pending, []
        for at in range(0, len(pending), self._batch_max):
            self._run_batch(pending[at : at + self._batch_max], loop)

    def _run_batch(self, batch: list[_PendingRead], loop: asyncio.AbstractEventLoop) -> None:
        def finish(reading: Future[list[Any]]) -> None:
            error = (
                StoreUnavailable("the server is stopping")
                if reading.cancelled()
                else reading.exception()
            )
            if error is None:
                for read, found in zip(batch, reading.result(), strict=True):
                    read.resolve(found)
            elif len(batch) == 1:
                batch[0].resolve(_refusal(error))
            else:  # one read has failed the whole batch: run each alone
                for read in batch:
                    self._run_batch([read], loop)

        reading = self._run(lambda reader: [_run_query(read.query, reader) for read in batch])
        reading.add_done_callback(lambda done: loop.call_soon_threadsafe(finish, done))


def _run_query(query: Query[T], reader: Reader) -> T | CommandError:
    try:
        return query(reader)
    except CommandError as refusal:
        return refusal


def _refusal(error: BaseException) -> CommandError:
    if isinstance(error, CommandError):
        return error
    if isinstance(error, StoreUnavailable) and not isinstance(error, StoreFault):
        return CommandError(ErrorCode.UNAVAILABLE, UNREADABLE, retry_after=1.0)
    log.error("internal error while reading the store", exc_info=error)
    return CommandError(ErrorCode.INTERNAL, INTERNAL_ERROR)
