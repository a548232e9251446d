"""Neighbors: days, groups, the unread rule, gaps, and joins told together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chat.client.model.state import Message
from chat.client.tui.timeline.log import Log, first_unread, is_live
from chat.client.tui.timeline.neighbors import Neighbors, around, fold_bounds
from tests.client.tui.timeline.lines import MINUTE, NOON, changed, event, page, say

DAY = 24 * 60 * MINUTE


def near(
    *messages: Message, unread: int | None = None, gaps: tuple[int, ...] = ()
) -> list[Neighbors]:
    log = Log()
    log.apply(changed(*messages, gap_before=gaps, complete=True))
    return [around(log, index, unread) for index in range(len(log))]


@pytest.mark.parametrize(
    ("second", "grouped"),
    [
        (say(2), True),
        (say(2, ts=NOON + 6 * MINUTE), True),
        (say(2, ts=NOON + 7 * MINUTE), False),
        (say(2, ts=NOON - 2 * MINUTE), True),
        (say(2, author="bob"), False),
        (say(2, me=True), False),
        (event(2, "join"), False),
        (say(2, ts=NOON + DAY), False),
        (say(2, deleted=True), True),
    ],
)
def test_who_goes_on_talking_needs_no_header(second: Message, grouped: bool) -> None:
    assert near(say(1), second)[1].grouped is grouped


def test_rules_begin_a_group() -> None:
    assert near(say(1), say(2), unread=2)[1].unread
    assert near(say(1), say(2), gaps=(2,))[1].gap
    for found in (near(say(1), say(2), unread=2)[1], near(say(1), say(2), gaps=(2,))[1]):
        assert found.spaced
        assert not found.grouped


def test_a_new_day_shows_and_so_does_the_first() -> None:
    days = [found.day for found in near(say(1), say(2), say(3, ts=NOON + DAY), say(4, ts=NOON))]
    assert days == [True, False, True, True]


def test_the_first_line_tells_whether_there_is_more() -> None:
    assert [found.beginning for found in near(say(1), say(2))] == [True, False]
    log = Log()
    log.apply(page(5, 6))
    assert [around(log, index, None).older for index in (0, 1)] == [True, False]
    log.apply(changed(say(None, "1", kind="tick"), reset=True))
    assert not around(log, 0, None).older, "ticks have no past to load"


def test_small_lines_stand_close_together() -> None:
    spaced = [found.spaced for found in near(event(1, "topic"), event(2, "role"), say(3), say(4))]
    assert spaced == [False, False, True, False]


def test_joins_in_a_row_are_told_by_the_last_of_them() -> None:
    found = near(say(1), event(2, "join"), event(3, "leave"), event(4, "join"), say(5))
    assert [each.hidden for each in found] == [False, True, True, False, False]
    assert [message.seq for message in found[3].folded] == [2, 3, 4]
    assert found[3].spaced


@pytest.mark.parametrize("options", [{"unread": 3}, {"gaps": (3,)}])
def test_a_rule_parts_a_row_of_joins(options: dict[str, int]) -> None:
    found = near(event(2, "join"), event(3, "join"), **options)  # type: ignore[arg-type]  # of both
    assert [each.hidden for each in found] == [False, False]


def test_however_many_join_a_line_looks_at_few_of_them() -> None:
    log = Log()
    log.apply(changed(*(event(seq, "join") for seq in range(1, 2_000))))
    for index in (0, 700, 1_998):
        first, last = fold_bounds(log, index, None)
        assert last - first < 256


def test_the_reply_finds_what_it_answers() -> None:
    found = near(say(1), say(2, reply_to=1), say(3, reply_to=99))
    assert found[1].target == say(1)
    assert found[2].target is None


@pytest.mark.parametrize(
    ("seq", "expected"), [(1, None), (2, 3), (3, 3), (4, 5), (5, 5), (6, None), (99, None)]
)
def test_the_unread_rule_stands_before_the_first_message_of_somebody_else(
    seq: int, expected: int | None
) -> None:
    log = Log()
    log.apply(
        changed(
            say(1), event(2, "join"), say(3), say(4, author="Dave"), say(5), say(6, deleted=True)
        )
    )
    assert first_unread(log, seq, "dave") == expected


def test_what_was_missed_is_not_live_whatever_the_clocks_say() -> None:
    assert is_live(changed(say(1, ts=0)))
    assert not is_live(replace(changed(say(1, ts=2**45)), missed=True))
    assert not is_live(changed(say(1), reset=True))
    assert not is_live(changed())
