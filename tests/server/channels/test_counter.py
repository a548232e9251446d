"""The counter by itself: even seconds, and an end whatever happens."""

from __future__ import annotations

import asyncio
import logging

import pytest

from chat.server.channels.builtin import Counter

QUICK = 0.01
"""Seconds between two numbers: a hundred times as fast."""


async def test_it_counts_from_0_until_it_is_stopped() -> None:
    loop = asyncio.get_running_loop()
    told: list[int] = []
    reached = asyncio.Event()

    def tell(number: int) -> None:
        told.append(number)
        if number == 5:
            reached.set()
            counter.stop()

    before = Counter.running
    began = loop.time()
    counter = Counter(loop, tell, interval=QUICK)
    assert Counter.running == before + 1
    await reached.wait()
    assert loop.time() - began >= 0.045
    assert told == [0, 1, 2, 3, 4, 5]
    assert Counter.running == before


async def test_a_send_that_fails_is_logged_and_stops_it(caplog: pytest.LogCaptureFixture) -> None:
    failed = asyncio.Event()

    def tell(number: int) -> None:
        failed.set()
        raise ConnectionResetError

    before = Counter.running
    with caplog.at_level(logging.WARNING):
        Counter(asyncio.get_running_loop(), tell, interval=QUICK)
        await failed.wait()
    assert "counter stops" in caplog.text
    assert Counter.running == before


async def test_stopping_twice_is_stopping_once() -> None:
    before = Counter.running
    counter = Counter(asyncio.get_running_loop(), lambda _: None)
    counter.stop()
    counter.stop()
    assert Counter.running == before
