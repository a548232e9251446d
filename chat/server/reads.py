"""Reads of the log for handlers: batched by event-loop turn, fair between sessions and people."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from chat.errors import CommandError, ErrorCode, StoreFault, StoreUnavailable
from chat.server.transport.connection import Connection
from chat.store.operations import User
from chat.store.read.reader import Reader
from chat.store.store import Store

__all__ = ["ReadBatcher", "ReadingSession", "Reads", "Turns"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Query = Callable[[Reader], T]

TOGETHER = 16
"""Most reads in one snapshot: with more, a short one would wait long for its neighbors."""
MISTAKE = "the server made a mistake here and wrote it to its log"
UNREADABLE = "the server cannot read its disk now; try again"


class ReadingSession(Protocol):
    """A signed-in session that reads."""

    connection: Connection
    id: str

    @property
    def user(self) -> User:
        """The person."""


class Reads:
    """Runs queries in the store's threads. All methods raise a `CommandError` if they fail."""

    def __init__(self, store: Store) -> None:
        self._history = ReadBatcher(lambda query: store.read(query))
        self._welcomes = ReadBatcher(lambda query: store.welcome(query))
        self._searches = ReadBatcher(lambda query: store.search(query), together=1)
        self._sessions = Turns()
        self._people = Turns()
        self._searching = Turns()

    async def in_turn(self, session: ReadingSession, query: Query[T]) -> T:
        """Run `query` when it is the turn of this session and of its person.

        The reads of a session follow one another, each after the peer has taken most of what it was
        sent; so a peer that does not read causes none. The reads of a person, from all sessions,
        follow one another too, and other people's come in between.
        """
        await self._sessions.take(session.id)
        try:
            await session.connection.outlet.drain()
            return await _alone(self._people, session.user.id, self._history, query)
        finally:
            self._sessions.end(session.id)

    async def search(self, session: ReadingSession, query: Query[T]) -> T:
        """Run a `query` that may take long; it delays nothing but other searches.

        The searches of a person, from all sessions, follow one another.
        """
        return await _alone(self._searching, session.user.id, self._searches, query)

    async def welcome(self, query: Query[T]) -> T:
        """Run `query` in a thread that is kept for those who sign in."""
        return await self._welcomes.read(query)


async def _alone(turns: Turns, user: int, batcher: ReadBatcher, query: Query[T]) -> T:
    """Run `query` in the person's turn, which lasts until the read is over, awaited or not.

    Otherwise a peer that hangs up and returns again and again would have many reads under way.
    """
    await turns.take(user)
    return await batcher.read(query, lambda: turns.end(user))


class Turns:
    """For each key, one turn at a time, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, key: Hashable) -> None:
        """Wait for one's turn; it lasts until `end`. A cancelled wait has no turn."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment
                self.end(key)
            raise

    def end(self, key: Hashable) -> None:
        """End the turn that was taken, and give the next one."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


@dataclass(slots=True)
class _Asked:
    query: Query[Any]
    answer: asyncio.Future[Any]
    ended: Callable[[], None]

    def settle(self, found: Any) -> None:
        """Give the answer, unless nobody waits for it any more."""
        self.ended()
        if self.answer.cancelled():
            return
        if isinstance(found, CommandError):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(found)


class ReadBatcher:
    """Reads all that one event-loop turn asks for in one snapshot, with one thread call.

    When a group commit has let in thirty people, thirty reads begin in the same turn. A transaction
    and two changes of thread for each of them took longer than the reading.

    Args:
        run: runs a query on a snapshot, in a thread.
        together: most reads in one snapshot.
    """

    def __init__(
        self, run: Callable[[Query[Any]], Future[Any]], *, together: int = TOGETHER
    ) -> None:
        self._run = run
        self._together = together
        self._asked: list[_Asked] = []

    def read(self, query: Query[T], ended: Callable[[], None] = lambda: None) -> asyncio.Future[T]:
        """Run `query` with the others of this turn; a failure is a `CommandError`.

        `ended` is called when the thread is done with it, also if the future was cancelled.
        """
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._begin, loop)
        answer: asyncio.Future[T] = loop.create_future()
        self._asked.append(_Asked(query, answer, ended))
        return answer

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._asked = self._asked, []
        for at in range(0, len(asked), self._together):
            self._read_together(asked[at : at + self._together], loop)

    def _read_together(self, some: list[_Asked], loop: asyncio.AbstractEventLoop) -> None:
        def finish(reading: Future[list[Any]]) -> None:
            error = (
                StoreUnavailable("the server is stopping")
                if reading.cancelled()
                else reading.exception()
            )
            if error is None:
                for asked, found in zip(some, reading.result(), strict=True):
                    asked.settle(found)
            elif len(some) == 1:
                some[0].settle(_refusal(error))
            else:  # one of them has failed all
                for each in some:
                    self._read_together([each], loop)

        reading = self._run(lambda reader: [_found(asked.query, reader) for asked in some])
        reading.add_done_callback(lambda done: loop.call_soon_threadsafe(finish, done))


def _found(query: Query[T], reader: Reader) -> T | CommandError:
    try:
        return query(reader)
    except CommandError as refusal:
        return refusal


def _refusal(error: BaseException) -> CommandError:
    if isinstance(error, CommandError):
        return error
    if isinstance(error, StoreUnavailable) and not isinstance(error, StoreFault):
        return CommandError(ErrorCode.UNAVAILABLE, UNREADABLE, retry_after=1.0)
    log.error("a read failed", exc_info=error)
    return CommandError(ErrorCode.INTERNAL, MISTAKE)
