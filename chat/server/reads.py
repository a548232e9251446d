"""Batch reads of one event-loop turn into one snapshot and one thread call.

When a group commit has let in thirty people, thirty readings begin in the same turn. A transaction
and two changes of thread for each of them took longer than what they read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from chat.errors import CommandError, ErrorCode, StoreFault, StoreUnavailable
from chat.store.read.reader import Reader

__all__ = ["ReadBatcher", "error_of", "tell"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Query = Callable[[Reader], T]
Refused = Callable[[CommandError], None]

TOGETHER = 16
"""Most readings of one snapshot: with more, a short one would wait long for its neighbours."""
MISTAKE = "the server made a mistake here and wrote it to its log"
UNREADABLE = "the server cannot read its disk now; try again"


@dataclass(frozen=True, slots=True)
class _Asked:
    query: Query[Any]
    then: Callable[[Any], None]
    refused: Refused


class ReadBatcher:
    """See the module; lives on the event loop.

    Args:
        loop: where answers are told.
        read: runs a query on a snapshot, in a thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, read: Callable[[Query[Any]], Future[Any]]
    ) -> None:
        self._loop = loop
        self._read = read
        self._asked: list[_Asked] = []

    def ask(self, query: Query[T], then: Callable[[T], None], refused: Refused) -> None:
        """Run `query` with what else the turn brings, then `then` or `refused`."""
        if not self._asked:
            self._loop.call_soon(self._begin)
        self._asked.append(_Asked(query, then, refused))

    def _begin(self) -> None:
        asked, self._asked = self._asked, []
        for at in range(0, len(asked), TOGETHER):
            self._read_together(asked[at : at + TOGETHER])

    def _read_together(self, some: list[_Asked]) -> None:
        def finish(future: Future[list[Any]]) -> None:
            error = error_of(future)
            if error is None:
                for each, answer in zip(some, future.result(), strict=True):
                    tell(answer, each.then, each.refused)
            elif len(some) == 1:
                tell(error, some[0].then, some[0].refused)
            else:  # one has spoiled it for all
                for each in some:
                    self._read_together([each])

        found = self._read(lambda reader: [_answer(each.query, reader) for each in some])
        found.add_done_callback(lambda future: self._loop.call_soon_threadsafe(finish, future))


def _answer(query: Query[T], reader: Reader) -> T | CommandError:
    try:
        return query(reader)
    except CommandError as refusal:
        return refusal


def error_of(future: Future[Any]) -> BaseException | None:
    """Return why a reading failed; None: it did not."""
    return StoreUnavailable("the server is stopping") if future.cancelled() else future.exception()


def _refusal(error: BaseException) -> CommandError:
    if isinstance(error, StoreUnavailable) and not isinstance(error, StoreFault):
        return CommandError(ErrorCode.UNAVAILABLE, UNREADABLE, retry_after=1.0)
    log.error("a read failed", exc_info=error)
    return CommandError(ErrorCode.INTERNAL, MISTAKE)


def tell(answer: T | BaseException, then: Callable[[T], None], refused: Refused) -> None:
    """Give an answer to who asked, or say why there is none."""
    try:
        if not isinstance(answer, BaseException):
            then(answer)
        elif isinstance(answer, CommandError):
            refused(answer)
        else:
            refused(_refusal(answer))
    except Exception:  # of one, which must not cost the others their answers
        log.exception("an answer could not be given")
