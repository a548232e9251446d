"""Backoff: a random delay in a window that doubles."""

from __future__ import annotations

import pytest

from chat.client.network.backoff import Backoff


def test_backoff_doubles_its_window_up_to_a_limit_and_resets() -> None:
    windows: list[float] = []

    def longest(_: float, window: float) -> float:
        windows.append(window)
        return window

    backoff = Backoff(0.25, 30.0, longest)
    waits = [backoff.next() for _ in range(9)]
    assert waits == windows == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next() == 0.25
    assert backoff.within(12.0) == 12.0
    assert backoff.within(1e12) == 3600.0


@pytest.mark.parametrize("window", [0.0, -1.0])
def test_a_server_cannot_shorten_the_delay_below_the_minimum(window: float) -> None:
    backoff = Backoff(0.25, 30.0, lambda low, high: high)
    assert [backoff.within(window) for _ in range(4)] == [0.25, 0.5, 1, 2]
    unlucky = Backoff(chance=lambda low, high: low)
    assert min(unlucky.next(), unlucky.within(window)) >= 0.1


def test_backoff_waits_a_random_part_of_its_window() -> None:
    assert Backoff(8.0, chance=lambda low, high: low + (high - low) / 4).next() == 2.0
