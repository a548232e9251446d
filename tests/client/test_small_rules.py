"""Small rules, each by itself: coverage, back-off, pauses, what is told of lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.coverage import Coverage
from chat.client.model.state import Delivery, Message, TimelineChanged, Update
from chat.client.network.backoff import Backoff
from chat.client.network.session import pause_after
from chat.client.storage.account import Account
from chat.client.storage.outbox import new_row
from chat.client.sync.publisher import Publisher
from chat.errors import CommandError, ErrorCode

SPANS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=8)


@given(SPANS)
def test_coverage_is_a_set_of_numbers(spans: list[tuple[int, int]]) -> None:
    coverage = Coverage(spans)
    expected = {n for first, last in spans for n in range(first, last + 1)}
    assert {n for n in range(32) if coverage.around(n)} == expected
    for (_, last), (first, _) in zip(coverage.spans, coverage.spans[1:], strict=False):
        assert last + 1 < first
    assert coverage.gaps_from(1) == tuple(first for first, _ in coverage.spans if first > 1)


def test_backoff_doubles_its_window_up_to_a_limit_and_begins_again() -> None:
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
def test_no_server_shortens_the_wait_below_a_floor_that_grows(window: float) -> None:
    backoff = Backoff(0.25, 30.0, lambda low, high: high)
    assert [backoff.within(window) for _ in range(4)] == [0.25, 0.5, 1, 2]
    unlucky = Backoff(chance=lambda low, high: low)
    assert min(unlucky.next(), unlucky.within(window)) >= 0.1


def test_backoff_waits_a_random_part_of_its_window() -> None:
    assert Backoff(8.0, chance=lambda low, high: low + (high - low) / 4).next() == 2.0


def test_no_server_holds_up_a_message_for_longer_than_a_minute() -> None:
    def pause(retry_after: float | None) -> float:
        error = CommandError(ErrorCode.UNAVAILABLE, "busy", retry_after=retry_after)
        return pause_after(error, Backoff(1.0, chance=lambda low, high: high))

    assert [pause(None), pause(7.0), pause(1e9), pause(-5.0)] == [1.0, 7.0, 60.0, 1.0]


def test_a_line_that_is_confirmed_before_it_is_told_is_told_once(tmp_path: Path) -> None:
    told: list[Update] = []
    account = Account(tmp_path / "a", "alice", changed=lambda: None, trouble=print)
    screens = Publisher(account, told.append, lambda tell: None)
    channel = account.followed("#c")
    screens.open(channel)
    told.clear()
    waiting = Message("#c", None, "cid", "alice", 1, delivery=Delivery.PENDING)
    screens.lines(channel, [waiting])
    screens.lines(channel, [replace(waiting, seq=1, delivery=Delivery.SENT)])
    screens.tell()
    account.close()
    (update,) = (each for each in told if isinstance(each, TimelineChanged))
    assert [line.delivery for line in update.upserts] == [Delivery.SENT]


def test_a_row_that_another_client_on_the_file_has_sent_is_not_shown_as_waiting(
    account: Account,
) -> None:
    told: list[Update] = []
    channel = account.followed("#c")
    row = new_row({"type": "send", "channel": "#c", "text": "tea"})
    account.outbox.add(row)
    channel.view.coverage.add(1, 1)
    channel.view.position = 1
    channel.view.changed[1] = Message("#c", 1, row.cid, "Me", 1, text="tea")
    Publisher(account, told.append, lambda tell: None).open(channel)
    assert isinstance(told[0], TimelineChanged)
    assert [(line.seq, line.text) for line in told[0].upserts] == [(1, "tea")]
    assert not account.outbox.waits
