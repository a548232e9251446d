"""What one turn of the loop asks for is read together, and each asker gets their own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from chat.errors import CommandError, ErrorCode
from chat.server.reads import ReadBatcher
from chat.store.read.reader import Reader

SNAPSHOT = cast("Reader", object())


class Shelf:
    """Reads at once, and notes how often."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.told: list[object] = []
        self.readings = ReadBatcher(asyncio.get_running_loop(), self._read)

    def _read(self, query: Callable[[Reader], Any]) -> Future[Any]:
        self.snapshots += 1
        future: Future[Any] = Future()
        try:
            future.set_result(query(SNAPSHOT))
        except Exception as exc:
            future.set_exception(exc)
        return future

    def ask(self, answer: object) -> None:
        def query(_reader: Reader) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.readings.ask(query, self.told.append, lambda error: self.told.append(error.code))

    async def turns(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_what_a_turn_asks_for_is_read_in_one_snapshot() -> None:
    shelf = Shelf()
    for number in range(10):
        shelf.ask(number)
    await shelf.turns()
    assert shelf.told == list(range(10))
    assert shelf.snapshots == 1


async def test_a_refusal_is_its_askers_alone() -> None:
    shelf = Shelf()
    for answer in (1, CommandError(ErrorCode.NOT_A_MEMBER, "no"), 2):
        shelf.ask(answer)
    await shelf.turns()
    assert shelf.told == [1, ErrorCode.NOT_A_MEMBER, 2]
    assert shelf.snapshots == 1


async def test_a_reading_that_fails_does_not_fail_its_neighbours() -> None:
    shelf = Shelf()
    for answer in (1, RuntimeError("broken"), 2):
        shelf.ask(answer)
    await shelf.turns()
    assert shelf.told == [1, ErrorCode.INTERNAL, 2]


async def test_an_answer_that_cannot_be_given_costs_the_others_nothing() -> None:
    def stumble(_answer: int) -> None:
        raise RuntimeError("the answer cannot be given")

    shelf = Shelf()
    shelf.readings.ask(lambda _reader: 0, stumble, lambda _error: None)
    shelf.ask(1)
    await shelf.turns()
    assert shelf.told == [1]
