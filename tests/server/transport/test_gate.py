"""Admission control: in order, never more than the places, and nobody waits in vain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.server.transport.limits import AdmissionQueue


def longest(_low: float, high: float) -> float:
    return high


def test_so_many_are_inside_and_the_others_come_in_their_order() -> None:
    gate = AdmissionQueue(places=2, patience=60.0)
    begun: list[int] = []
    for number in range(5):
        assert gate.enter(number, lambda number=number: begun.append(number), 0.0) == 0  # type: ignore[misc]
    assert begun == [0, 1]
    gate.leave(1, 1.0)
    gate.leave(0, 1.0)
    assert begun == [0, 1, 2, 3]
    assert gate.waiting == 1


def test_who_goes_while_waiting_is_not_called() -> None:
    gate = AdmissionQueue(places=1, patience=60.0)
    begun: list[str] = []
    for name in "abc":
        gate.enter(name, lambda name=name: begun.append(name), 0.0)  # type: ignore[misc]
    gate.leave("b", 0.5)
    gate.leave("a", 1.0)
    assert begun == ["a", "c"]


def test_who_would_wait_too_long_is_told_when_to_come_back() -> None:
    gate = AdmissionQueue(places=1, patience=2.5, chance=longest)
    gate.enter("first", lambda: None, 0.0)
    gate.leave("first", 1.0)  # one takes a second
    assert gate.enter("a", lambda: None, 1.0) == 0
    assert gate.enter("b", lambda: None, 1.0) == 0
    assert gate.enter("c", lambda: None, 1.0) == 0
    assert gate.enter("d", lambda: None, 1.0) == 6.0, "three seconds, spread up to twice as many"
    assert gate.waiting == 2


def test_leaving_twice_or_without_having_come_frees_no_place() -> None:
    gate = AdmissionQueue(places=1, patience=60.0)
    begun: list[str] = []
    for name in "abc":
        gate.enter(name, lambda name=name: begun.append(name), 0.0)  # type: ignore[misc]
    gate.leave("nobody", 1.0)
    gate.leave("a", 1.0)
    gate.leave("a", 1.0)
    assert begun == ["a", "b"]


@given(
    places=st.integers(1, 4),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60),
)
def test_there_are_never_more_inside_than_places_and_no_place_stays_empty_while_one_waits(
    places: int, moves: list[tuple[bool, int]]
) -> None:
    gate = AdmissionQueue(places, patience=1e9)
    inside: set[int] = set()
    waiting: list[int] = []
    for comes, key in moves:
        if comes and key not in inside and key not in waiting:
            waiting.append(key)

            def begin(key: int = key) -> None:
                assert waiting[0] == key, "in their order"
                waiting.remove(key)
                inside.add(key)

            gate.enter(key, begin, 0.0)
        elif not comes:
            inside.discard(key)
            if key in waiting:
                waiting.remove(key)
            gate.leave(key, 1.0)
        assert len(inside) <= places
        assert not waiting or len(inside) == places
