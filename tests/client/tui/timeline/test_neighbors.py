"""Neighbors: day rules, groups, the unread rule, gaps, and merged joins."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.config.settings import ClientSettings
from chat.client.model.state import Message, Moderation, TimelineChanged
from chat.client.presenter.log import Log
from chat.client.tui.timeline.neighbors import Joins, Neighbors, around, fold_bounds
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer
from chat.client.tui.timeline.viewport import Viewport
from tests.client.presenter.fakes import info
from tests.client.presenter.fakes import said as told
from tests.client.tui.conftest import Open
from tests.client.tui.timeline.lines import (
    CHANNEL,
    MINUTE,
    NOON,
    bring,
    changed,
    event,
    page,
    say,
    screen,
)

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
def test_consecutive_messages_of_an_author_share_a_header(second: Message, grouped: bool) -> None:
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


def test_the_first_line_shows_whether_older_ones_exist() -> None:
    assert [found.beginning for found in near(say(1), say(2))] == [True, False]
    log = Log()
    log.apply(page(5, 6))
    assert [around(log, index, None).older for index in (0, 1)] == [True, False]
    log.apply(changed(say(None, "1", kind="tick"), reset=True))
    assert not around(log, 0, None).older, "a channel of ticks has no older messages"


def test_single_lines_have_no_blank_line_between() -> None:
    spaced = [found.spaced for found in near(event(1, "topic"), event(2, "role"), say(3), say(4))]
    assert spaced == [False, False, True, False]


def test_consecutive_joins_are_shown_by_the_last_one() -> None:
    found = near(say(1), event(2, "join"), event(3, "leave"), event(4, "join"), say(5))
    assert [each.hidden for each in found] == [False, True, True, False, False]
    assert [message.seq for message in found[3].folded] == [2, 3, 4]
    assert found[3].spaced


@pytest.mark.parametrize("options", [{"unread": 3}, {"gaps": (3,)}])
def test_a_rule_splits_a_row_of_joins(options: dict[str, int]) -> None:
    found = near(event(2, "join"), event(3, "join"), **options)  # type: ignore[arg-type]  # of both
    assert [each.hidden for each in found] == [False, False]


def test_a_line_checks_a_bounded_number_of_joins() -> None:
    log = Log()
    log.apply(changed(*(event(seq, "join") for seq in range(1, 2_000))))
    for index in (0, 700, 1_998):
        first, last = fold_bounds(log, index, None)
        assert last - first < 256


def test_a_reply_finds_its_target() -> None:
    found = near(say(1), say(2, reply_to=1), say(3, reply_to=99))
    assert found[1].target == say(1)
    assert found[2].target is None


LINES = (say(1, author="alice"), event(2, "join", "bob"), event(3, "join", "alice"), say(4))


def sheet_of(joins: Joins, *messages: Message, height: int = 12) -> Viewport:
    sheet = Viewport(Log(), Renderer(Palette(), "me", 60, airy=False), height, joins)
    bring(sheet, changed(*messages, complete=True))
    return sheet


def shown(sheet: Viewport) -> list[str]:
    return [text.strip() for text in screen(sheet)]


@pytest.mark.parametrize(
    ("joins", "line"), [("all", "bob, alice joined"), ("spoken", "alice joined"), ("none", None)]
)
@pytest.mark.feature("reading.joins")
def test_the_setting_selects_the_shown_joins(joins: Joins, line: str | None) -> None:
    found = [text for text in shown(sheet_of(joins, *LINES)) if "joined" in text]
    assert found == ([line] if line else [])


@pytest.mark.parametrize("joins", ["all", "spoken", "none"])
def test_a_ban_and_a_kick_are_not_shown_as_leaves(joins: Joins) -> None:
    done = Moderation("ban", "alice", reason="spam"), Moderation("kick", "alice")
    gone = [
        event(seq, "leave", who, moderation=act)
        for seq, who, act in zip((5, 6), ("carl", "dora"), done, strict=True)
    ]
    found = shown(sheet_of(joins, *LINES, *gone, event(7, "leave", "alice")))
    assert "carl was banned by alice: spam" in found
    assert "dora was kicked by alice" in found
    assert not any("carl" in line and "left" in line for line in found)


def test_a_later_message_reveals_the_authors_join() -> None:
    sheet = sheet_of("spoken", *LINES)
    assert "alice joined" in shown(sheet)
    bring(sheet, changed(say(5, author="bob")))
    assert "bob, alice joined" in shown(sheet)


def test_hidden_lines_split_no_group_and_hide_no_day_rule() -> None:
    lines = (say(1), event(2, "join", "zed"), say(3))
    assert shown(sheet_of("spoken", *lines)).count("alice") == 1
    day = 24 * 60 * 60_000
    later = (
        say(1),
        Message(CHANNEL, 2, None, "zed", NOON + day, kind="join"),
        say(3, ts=NOON + day),
    )
    assert sum("May" in text for text in shown(sheet_of("spoken", *later))) == 2


def test_a_channel_with_only_a_hidden_join_has_no_day_rule() -> None:
    sheet = sheet_of("spoken", event(1, "join", "zed"))
    assert not any("May" in text for text in shown(sheet))
    assert any("beginning" in text for text in shown(sheet))
    bring(sheet, changed(say(2)))
    assert sum("May" in text for text in shown(sheet)) == 1


def test_a_gap_before_a_silent_line_is_seen() -> None:
    sheet = sheet_of("spoken", say(1), event(9, "join", "zed"), say(10))
    bring(sheet, changed(gap_before=(9,)))
    assert sum("missing messages" in text for text in shown(sheet)) == 1
    assert any(row.message.seq == 9 for row in sheet.settle().rows), (
        "so that the missing messages are requested"
    )


def test_silent_lines_at_the_end_are_not_below() -> None:
    lines = [say(seq, author="bob") for seq in range(1, 30)]
    lines += [event(seq, "join", f"guest{seq}") for seq in range(30, 40)]
    sheet = sheet_of("spoken", *lines, height=8)
    sheet.settle()
    sheet.scroll(-3)
    assert not sheet.settle().at_end
    sheet.scroll(3)
    window = sheet.settle()
    assert window.at_end
    assert window.last == len(sheet.log) - 1


def one(draw: tuple[str, str], seq: int) -> Message:
    kind, author = draw
    return say(seq, author=author) if kind == "message" else event(seq, kind, author)


KINDS = st.tuples(st.sampled_from(["message", "join", "leave"]), st.sampled_from("abc"))


@given(st.lists(KINDS, min_size=1, max_size=20), st.data())
def test_the_layout_does_not_depend_on_the_order_of_arrival(
    drawn: Sequence[tuple[str, str]], data: st.DataObject
) -> None:
    lines = [one(each, seq) for seq, each in enumerate(drawn, 1)]
    sheet = sheet_of("spoken", height=60)
    for line in data.draw(st.permutations(lines)):
        bring(sheet, changed(line))
        sheet.settle()
    assert shown(sheet) == shown(sheet_of("spoken", *lines, height=60))


@pytest.mark.parametrize(("joins", "count"), [("spoken", 0), ("all", 1)])
async def test_the_screens_follow_the_setting(open_desktop: Open, joins: Joins, count: int) -> None:
    settings = ClientSettings(name="me", joins=joins)
    async with open_desktop(info("#general"), settings=settings) as desktop:
        come = Message("#general", 2, None, "zed", told(2, "", "").ts, kind="join")
        lines = (told(1, "bob", "hello"), come, told(3, "bob", "hello again"))
        desktop.core.tell(TimelineChanged("#general", upserts=lines))
        await desktop.until(lambda: "hello again" in desktop.screen())
        assert desktop.screen().count("zed joined") == count


def test_messages_of_ignored_users_fold_into_the_last_of_them() -> None:
    lines = [told(1, "bob", "a"), *(told(n, "mallory", "b") for n in (2, 3)), told(4, "bob", "c")]
    log = Log()
    log.apply(TimelineChanged("#general", upserts=tuple(lines)))
    near = [
        around(log, index, None, is_folded=lambda each: each.author == "mallory")
        for index in range(4)
    ]
    assert [each.hidden for each in near] == [False, True, False, False]
    assert [len(each.folded) for each in near] == [0, 0, 2, 0]
    assert not near[3].grouped


def test_unread_messages_do_not_fold_with_read_ones() -> None:
    log = Log()
    lines = tuple(told(n, "mallory", "b") for n in (1, 2, 3))
    log.apply(TimelineChanged("#general", upserts=lines))
    near = [around(log, index, 2, is_folded=lambda _: True) for index in range(3)]
    assert [each.hidden for each in near] == [False, True, False]
    assert near[2].unread
