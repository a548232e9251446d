"""Reads: batches of one event-loop turn, and turns of sessions and users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from chat.errors import CommandError, ErrorCode
from chat.server.reads import ReadBatcher, Turns
from chat.store.read.reader import Reader

SNAPSHOT = cast("Reader", object())


class Shelf:
    """Reads at once, and counts the reads."""

    def __init__(self) -> None:
        self.snapshots = 0
        self._batcher = ReadBatcher(self.run)

    def run(self, query: Callable[[Reader], Any]) -> Future[Any]:
        self.snapshots += 1
        future: Future[Any] = Future()
        try:
            future.set_result(query(SNAPSHOT))
        except Exception as exc:
            future.set_exception(exc)
        return future

    async def ask(self, *answers: object) -> list[object]:
        """Submit so many reads in one turn; return their results, an error as its code."""

        def query_for(answer: object) -> Callable[[Reader], object]:
            def query(_reader: Reader) -> object:
                if isinstance(answer, Exception):
                    raise answer
                return answer

            return query

        reads = [self._batcher.read(query_for(answer)) for answer in answers]
        found = await asyncio.gather(*reads, return_exceptions=True)
        return [each.code if isinstance(each, CommandError) else each for each in found]


async def test_reads_of_one_turn_share_a_snapshot() -> None:
    shelf = Shelf()
    assert await shelf.ask(*range(10)) == list(range(10))
    assert shelf.snapshots == 1


async def test_refused_read_does_not_affect_others() -> None:
    shelf = Shelf()
    refusal = CommandError(ErrorCode.NOT_A_MEMBER, "no")
    assert await shelf.ask(1, refusal, 2) == [1, ErrorCode.NOT_A_MEMBER, 2]
    assert shelf.snapshots == 1


async def test_failed_read_does_not_affect_others() -> None:
    assert await Shelf().ask(1, RuntimeError("broken"), 2) == [1, ErrorCode.INTERNAL, 2]


async def test_cancelled_read_does_not_affect_others() -> None:
    batcher = ReadBatcher(Shelf().run)
    reads = [batcher.read(lambda _reader, n=n: n) for n in range(3)]  # type: ignore[misc]
    reads[1].cancel()
    assert [await reads[0], await reads[2]] == [0, 2]


async def test_turns_of_a_key_run_one_at_a_time_in_order() -> None:
    turns, begun = Turns(), list[str]()

    async def take(name: str) -> None:
        await turns.take(name[0])
        begun.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("a1", "a2", "b1", "a3"):
            tasks.create_task(take(name))
        await settled()
        assert begun == ["a1", "b1"]
        turns.end("a")
        await settled()
        assert begun == ["a1", "b1", "a2"]
        turns.end("b")
        tasks.create_task(take("b2"))
        turns.end("a")
    assert sorted(begun[3:]) == ["a3", "b2"]


async def test_turn_of_a_cancelled_wait_goes_to_the_next() -> None:
    turns = Turns()
    await turns.take("a")
    waiting = [asyncio.create_task(turns.take("a")) for _ in range(3)]
    await settled()
    waiting[0].cancel()
    turns.end("a")
    waiting[1].cancel()  # at the moment it gets its turn
    await asyncio.wait_for(waiting[2], 1)
    turns.end("a")
    await asyncio.wait_for(turns.take("a"), 1)


async def settled() -> None:
    """Let all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)
