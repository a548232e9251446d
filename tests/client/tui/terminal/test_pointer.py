"""Floods of mouse events: keys are not delayed, and the result is that of the single events."""

from __future__ import annotations

import pytest
from textual import events
from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import OptionList

from chat.client.model.state import TimelineChanged
from chat.client.tui.screens.picker import Picker
from chat.client.tui.timeline import Timeline
from tests.client.presenter.fakes import said
from tests.client.tui.conftest import Desktop, mouse


def turn(desktop: Desktop, kind: type[events.MouseEvent], at: Offset, times: int = 1) -> None:
    for _ in range(times):
        desktop.app.post_message(mouse(kind, at))


def middle(widget: Widget) -> Offset:
    x, y, width, height = widget.region
    return Offset(x + width // 2, y + height // 2)


@pytest.fixture
async def long_channel(desktop: Desktop) -> Desktop:
    page = tuple(said(seq, "bob", f"line {seq}") for seq in range(1, 3_000))
    desktop.core.tell(TimelineChanged("#general", upserts=page, reset=True, complete=True))
    await desktop.until(lambda: "line 2999" in desktop.screen())
    return desktop


async def test_a_flood_of_wheel_events_scrolls_once_and_delays_no_key(
    long_channel: Desktop,
) -> None:
    timeline = long_channel.main.query_one(Timeline)
    before = timeline.scroll_offset.y
    places: list[int | None] = []

    def note(below: int | None) -> None:
        places.append(below)

    long_channel.main.watch(timeline, "below", note, init=False)
    turn(long_channel, events.MouseScrollUp, middle(timeline), 900)
    turn(long_channel, events.MouseScrollDown, middle(timeline), 300)
    long_channel.app.post_message(events.Key("x", "x"))
    await long_channel.until(lambda: long_channel.composer.text == "x")
    assert timeline.scroll_offset.y == before - 3 * 600
    assert 0 < len(places) < 20


@pytest.mark.parametrize("times", [1, 40, 1_000_000])
async def test_the_wheel_scrolls_three_rows_a_turn_and_stops_at_the_end(
    long_channel: Desktop, times: int
) -> None:
    timeline = long_channel.main.query_one(Timeline)
    before = timeline.scroll_offset.y
    timeline.turn(-times)
    assert timeline.scroll_offset.y == max(0, before - 3 * times)
    timeline.turn(times)
    await long_channel.until(lambda: "line 2999" in long_channel.screen())


async def test_the_wheel_scrolls_lists_too(long_channel: Desktop) -> None:
    await long_channel.press("ctrl+k")
    await long_channel.until(lambda: isinstance(long_channel.app.screen, Picker))
    rows = long_channel.app.screen.query_one(OptionList)
    await long_channel.until(lambda: rows.max_scroll_y > 0)
    for _ in range(5):  # turns that wait together are limited
        turn(long_channel, events.MouseScrollDown, middle(rows), 20)
        await long_channel.pilot.pause()
    await long_channel.until(lambda: rows.scroll_y == rows.max_scroll_y)


async def test_only_the_last_of_several_moves_counts(long_channel: Desktop) -> None:
    for x in range(10, 60):
        turn(long_channel, events.MouseMove, Offset(x, 10))
    await long_channel.until(lambda: long_channel.app.mouse_position == Offset(59, 10))
