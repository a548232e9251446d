"""Arrivals are shown at once, until they are too many to be read."""

from __future__ import annotations

from chat.client.tui.pace import Pace


def test_a_few_pass_at_once_and_many_at_the_rate() -> None:
    pace = Pace(rate=10, burst=3)
    assert [pace.wait(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = pace.wait(100.0)
    assert 0 < wait <= 0.1
    assert pace.wait(100.0 + wait) == 0.0
    assert pace.wait(100.0 + wait) > 0


def test_after_a_rest_a_few_pass_at_once_again() -> None:
    pace = Pace(rate=10, burst=3)
    for _ in range(9):
        pace.wait(100.0)
    assert [pace.wait(101.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.wait(101.0) > 0
