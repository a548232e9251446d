"""Tuning: the rate of repaints under load, and garbage collection at the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chat.client.tui.terminal.tuning import MOMENT, Pace


def test_a_few_updates_pass_at_once_and_many_at_the_rate() -> None:
    pace = Pace(rate=10, burst=3)
    assert [pace.wait(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = pace.wait(100.0)
    assert 0 < wait <= 0.1
    assert pace.wait(100.0 + wait) == 0.0
    assert pace.wait(100.0 + wait) > 0


def test_after_a_pause_a_few_updates_pass_at_once_again() -> None:
    pace = Pace(rate=10, burst=3)
    for _ in range(9):
        pace.wait(100.0)
    assert [pace.wait(101.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert pace.wait(101.0) > 0


def test_a_key_delays_updates_under_load() -> None:
    pace = Pace()
    while pace.wait(100.0) == 0.0:
        pass
    due = 100.0 + pace.wait(100.0)
    pace.delay_for_key(due)
    assert pace.wait(due) == pytest.approx(MOMENT)
    assert pace.wait(due + MOMENT) == 0.0


def test_continuous_typing_does_not_block_updates() -> None:
    pace = Pace()
    now = 100.0
    while pace.wait(now) == 0.0:
        pass
    passed = now
    for _ in range(1_000):
        now += MOMENT / 2
        pace.delay_for_key(now)
        if pace.wait(now) == 0.0:
            assert now - passed < 0.1
            passed = now
    assert passed > 100.0


def test_a_key_delays_nothing_without_load() -> None:
    pace = Pace(rate=10, burst=3)
    assert pace.wait(100.0) == 0.0
    pace.delay_for_key(100.0)
    assert pace.wait(100.0) == 0.0


HELD = """
import gc
from chat.client.tui.terminal import tuning

tuning.resume_collector()
assert gc.get_freeze_count() == 0, "who does not hold changes nothing"
tuning.pause_collector()
assert not gc.isenabled()
stays = [[] for _ in range(1000)]
tuning.resume_collector()
assert gc.isenabled()
assert gc.get_freeze_count() > 1000
assert gc.collect() == 0
"""


def test_objects_of_the_start_are_frozen() -> None:
    subprocess.run([sys.executable, "-c", HELD], check=True)
