"""Admission control: in order, never more than the places, and nobody waits in vain."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from chat.server.transport.limits import AdmissionQueue


def longest(_low: float, high: float) -> float:
    return high


class Gate:
    """A queue, and those who have come in, in their order."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self.queue = queue
        self.begun: list[int | str] = []
        self.tasks: dict[int | str, asyncio.Task[float]] = {}

    async def enter(self, *keys: int | str, now: float = 0.0) -> None:
        """Let each come; after this they are in, wait, or are sent away."""

        async def come(key: int | str) -> float:
            wait = await self.queue.enter(key, now)
            if not wait:
                self.begun.append(key)
            return wait

        for key in keys:
            self.tasks[key] = asyncio.create_task(come(key))
        await asyncio.sleep(0)

    async def leave(self, *keys: int | str, now: float = 1.0) -> None:
        """Let each leave, and those in whose turn it is then."""
        for key in keys:
            if (task := self.tasks.pop(key, None)) is not None and not task.done():
                task.cancel()
            self.queue.leave(key, now)
        await asyncio.sleep(0)


async def test_so_many_are_inside_and_the_others_come_in_their_order() -> None:
    gate = Gate(AdmissionQueue(places=2, patience=60.0))
    await gate.enter(*range(5))
    assert gate.begun == [0, 1]
    await gate.leave(1, 0)
    assert gate.begun == [0, 1, 2, 3]
    assert gate.queue.waiting == 1
    await gate.leave(4)


async def test_who_goes_while_waiting_is_not_let_in() -> None:
    gate = Gate(AdmissionQueue(places=1, patience=60.0))
    await gate.enter(*"abc")
    await gate.leave("b", "a")
    assert gate.begun == ["a", "c"]


async def test_a_place_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    gate = Gate(AdmissionQueue(places=1, patience=60.0))
    await gate.enter(*"abc")
    gate.tasks["b"].cancel()  # it leaves a little later, as a task that is cancelled does
    await gate.leave("a")
    await gate.leave("b")
    assert gate.begun == ["a", "c"]


async def test_who_would_wait_too_long_is_told_when_to_come_back() -> None:
    gate = Gate(AdmissionQueue(places=1, patience=2.5, chance=longest))
    await gate.enter("first")
    await gate.leave("first")  # one takes a second
    await gate.enter(*"abcd", now=1.0)
    assert await gate.tasks["d"] == 6.0, "three seconds, spread up to twice as many"
    assert gate.begun == ["first", "a"]
    assert gate.queue.waiting == 2
    await gate.leave(*"cba")


async def test_leaving_twice_or_without_having_come_frees_no_place() -> None:
    gate = Gate(AdmissionQueue(places=1, patience=60.0))
    await gate.enter(*"abc")
    await gate.leave("nobody", "a", "a")
    assert gate.begun == ["a", "b"]
    await gate.leave("c")


@given(
    places=st.integers(1, 4),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60),
)
def test_there_are_never_more_inside_than_places_and_no_place_stays_empty_while_one_waits(
    places: int, moves: list[tuple[bool, int]]
) -> None:
    async def move() -> None:
        gate, there = Gate(AdmissionQueue(places, patience=1e9)), list[int]()
        for comes, key in moves:
            before = len(gate.begun)
            if comes and key not in there:
                there.append(key)
                await gate.enter(key)
            elif not comes:
                is_next = key in there[:places] and len(there) > places
                expected = there[places : places + 1] if is_next else []
                there = [each for each in there if each != key]
                await gate.leave(key)
                assert gate.begun[before:] == expected, "in their order"
            assert gate.queue.waiting == max(0, len(there) - places)
        await gate.leave(*reversed(there))

    asyncio.run(move())
