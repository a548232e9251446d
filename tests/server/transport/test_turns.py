"""Turns: each person's things follow one another, and nobody waits for another's."""

from __future__ import annotations

from collections.abc import Callable

from chat.server.transport.limits import KeyedSerializer


class Begun:
    """What was begun, in its order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, *, is_wanted: bool = True) -> Callable[[], bool]:
        def begin() -> bool:
            if is_wanted:
                self.names.append(name)
            return is_wanted

        return begin


def test_one_at_a_time_of_each_and_everybody_at_once() -> None:
    turns, begun = KeyedSerializer(), Begun()
    for name in ("a1", "a2", "b1", "a3"):
        turns.take(name[0], begun(name))
    assert begun.names == ["a1", "b1"]
    turns.end("a")
    assert begun.names == ["a1", "b1", "a2"]
    turns.end("b")
    turns.take("b", begun("b2"))
    assert begun.names == ["a1", "b1", "a2", "b2"]


def test_what_is_not_wanted_any_more_is_passed_over() -> None:
    turns, begun = KeyedSerializer(), Begun()
    turns.take("a", begun("never", is_wanted=False))
    turns.take("a", begun("a1"))
    for _ in range(5_000):
        turns.take("a", begun("never", is_wanted=False))
    turns.take("a", begun("a2"))
    turns.end("a")
    assert begun.names == ["a1", "a2"]
    turns.end("a")
    turns.take("a", begun("a3"))
    assert begun.names == ["a1", "a2", "a3"]
