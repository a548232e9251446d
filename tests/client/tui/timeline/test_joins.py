"""Coming and going: told of people who spoke, of all, or of none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.config.settings import ClientSettings
from chat.client.model.state import Message, TimelineChanged
from chat.client.tui.timeline.neighbors import Joins
from chat.client.tui.timeline.palette import Palette
from chat.client.tui.timeline.renderer import Renderer
from chat.client.tui.timeline.viewport import Viewport
from tests.client.presenter.fakes import info
from tests.client.presenter.fakes import said as told
from tests.client.tui.conftest import Open
from tests.client.tui.timeline.lines import CHANNEL, NOON, changed, event, say, screen

LINES = (say(1, author="alice"), event(2, "join", "bob"), event(3, "join", "alice"), say(4))


def sheet_of(joins: Joins, *messages: Message, height: int = 12) -> Viewport:
    sheet = Viewport(Renderer(Palette(), "me", 60, airy=False), height, joins)
    sheet.apply(changed(*messages, complete=True))
    return sheet


def shown(sheet: Viewport) -> list[str]:
    return [text.strip() for text in screen(sheet)]


@pytest.mark.parametrize(
    ("joins", "line"), [("all", "bob, alice joined"), ("spoken", "alice joined"), ("none", None)]
)
@pytest.mark.feature("reading.joins")
def test_the_setting_says_whose_coming_is_told(joins: Joins, line: str | None) -> None:
    found = [text for text in shown(sheet_of(joins, *LINES)) if "joined" in text]
    assert found == ([line] if line else [])


def test_who_speaks_later_turns_out_to_have_come() -> None:
    sheet = sheet_of("spoken", *LINES)
    assert "alice joined" in shown(sheet)
    sheet.apply(changed(say(5, author="bob")))
    assert "bob, alice joined" in shown(sheet)


def test_what_is_silent_parts_no_group_and_hides_no_day() -> None:
    lines = (say(1), event(2, "join", "zed"), say(3))
    assert shown(sheet_of("spoken", *lines)).count("alice") == 1
    day = 24 * 60 * 60_000
    later = (
        say(1),
        Message(CHANNEL, 2, None, "zed", NOON + day, kind="join"),
        say(3, ts=NOON + day),
    )
    assert sum("May" in text for text in shown(sheet_of("spoken", *later))) == 2


def test_a_gap_before_a_silent_line_is_seen() -> None:
    sheet = sheet_of("spoken", say(1), event(9, "join", "zed"), say(10))
    sheet.apply(changed(gap_before=(9,)))
    assert sum("missing messages" in text for text in shown(sheet)) == 1
    assert any(row.message.seq == 9 for row in sheet.settle().rows), "so that it is asked for"


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
def test_whatever_comes_in_which_order_looks_as_if_it_had_come_at_once(
    drawn: Sequence[tuple[str, str]], data: st.DataObject
) -> None:
    lines = [one(each, seq) for seq, each in enumerate(drawn, 1)]
    sheet = sheet_of("spoken", height=60)
    for line in data.draw(st.permutations(lines)):
        sheet.apply(changed(line))
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
