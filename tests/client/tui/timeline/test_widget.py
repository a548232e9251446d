"""The timeline widget: arriving messages, scrolling, the cursor, the mouse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Offset, Region
from textual.message import Message as Posted
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input

from chat.client.model.state import Delivery, Message
from chat.client.presenter.log import Log
from chat.client.tui.themes import readable
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.painter import forget_styles
from chat.client.tui.timeline.widget import may, nearest
from tests.client.texts import NASTY
from tests.client.tui.conftest import mouse
from tests.client.tui.timeline.lines import bring, changed, event, is_harmless, page, say
from tests.serving import PATIENCE

SIZE = (60, 21)


class Home(App[None]):
    """A timeline above an input field; records the timeline's messages."""

    CSS = "Timeline { height: 20; } Input { height: 1; border: none; }"
    CLICK_CHAIN_TIME_THRESHOLD = PATIENCE

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Posted] = []

    def get_css_variables(self) -> dict[str, str]:
        self.theme_variables = readable(self.current_theme, super().get_css_variables())
        return self.theme_variables

    def compose(self) -> ComposeResult:
        yield Timeline()
        yield Input()

    @on(Timeline.OlderWanted)
    @on(Timeline.GapWanted)
    @on(Timeline.Seen)
    @on(Timeline.Selected)
    @on(Timeline.ActionRequested)
    @on(Timeline.LinkClicked)
    def remember(self, event: Posted) -> None:
        self.told.append(event)

    @property
    def timeline(self) -> Timeline:
        return self.query_one(Timeline)

    def all_told(self, kind: type[Posted]) -> list[Any]:
        return [told for told in self.told if isinstance(told, kind)]

    def screen_lines(self) -> list[str]:
        return [
            self.timeline.render_line(y).text.rstrip() for y in range(self.timeline.size.height)
        ]

    def line_of(self, text: str) -> int:
        return next(y for y, line in enumerate(self.screen_lines()) if text in line)


Opened = tuple[Home, Timeline, Pilot[None]]


@asynccontextmanager
async def opened(*, read: int = 1_000, size: tuple[int, int] = SIZE) -> AsyncIterator[Opened]:
    """Open the timeline of a channel; the reader is dave."""
    app = Home()
    async with app.run_test(size=size) as pilot:
        app.timeline.show(Log(), "dave", read=read)
        app.timeline.focus()
        await pilot.pause()
        yield app, app.timeline, pilot


async def test_the_timeline_follows_new_messages_at_the_bottom() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 50, complete=True))
        await pilot.pause()
        assert app.screen_lines()[-1].endswith("message 50")
        bring(timeline, page(51, 51))
        await pilot.pause()
        assert app.screen_lines()[-1].endswith("message 51")
        assert (timeline.at_bottom, timeline.below) == (True, None)
        assert app.all_told(Timeline.Seen)[-1].seq == timeline.seen == 51


async def test_few_messages_are_at_the_bottom() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1, "hello")))
        await pilot.pause()
        assert app.screen_lines()[0] == ""
        assert app.screen_lines()[-1] == "       hello"


async def test_more_lines_of_the_last_message_are_no_further_message() -> None:
    async with opened() as (_, timeline, pilot):
        bring(timeline, changed(say(1, "longer " * 500)))
        await pilot.press("pageup")
        assert not timeline.at_bottom
        assert timeline.below == 0


async def test_a_scrolled_timeline_stays_and_counts_new_messages() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 50, complete=True))
        await pilot.press("pageup", "pageup")
        before = app.screen_lines()
        below = timeline.below
        assert below is not None
        assert not timeline.at_bottom
        bring(timeline, page(51, 60))
        bring(timeline, changed(say(50, "longer " * 50), say(1, "longer " * 50)))
        await pilot.pause()
        assert app.screen_lines() == before
        assert timeline.below == below + 10
        await pilot.press("end")
        assert app.screen_lines()[-1].endswith("message 60")
        assert timeline.at_bottom


async def test_an_older_page_is_requested_once_and_keeps_the_position() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(101, 200))
        await pilot.pause()
        assert app.all_told(Timeline.OlderWanted) == []
        await pilot.press("home", "up", "pagedown", "pageup")
        await pilot.press("home")
        assert len(app.all_told(Timeline.OlderWanted)) == 1
        before = app.line_of("message 101")
        bring(timeline, page(1, 100))
        await pilot.pause()
        assert app.line_of("message 101") == before
        await pilot.press("home")
        assert len(app.all_told(Timeline.OlderWanted)) == 2
        bring(timeline, changed(complete=True))
        await pilot.press("pagedown", "home")
        assert len(app.all_told(Timeline.OlderWanted)) == 2
        assert "beginning of #general" in app.screen_lines()[0]


async def test_scrolling_against_the_top_asks_again() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(101, 200))
        await pilot.press("home")
        await pilot.press("pageup")
        assert len(app.all_told(Timeline.OlderWanted)) == 2


@pytest.mark.feature("reading.gaps")
async def test_a_visible_gap_is_requested() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 100, gap_before=(40,), complete=True))
        await pilot.pause()
        assert app.all_told(Timeline.GapWanted) == []
        assert timeline.scroll_to_seq(40)
        await pilot.pause()
        await pilot.press("pageup", "pagedown")
        assert [told.seq for told in app.all_told(Timeline.GapWanted)] == [40]
        bring(timeline, changed(gap_before=()))
        await pilot.pause()
        assert not any("missing messages" in line for line in app.screen_lines())


async def test_a_resize_keeps_the_visible_text() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(*(say(seq, f"{seq}. " + "word " * 30) for seq in range(1, 60))))
        timeline.scroll_to_seq(30)
        await pilot.pause()
        before = timeline.place
        top = app.screen_lines()[0]
        for width in (100, 40, 60):
            await pilot.resize_terminal(width, 21)
            assert timeline.place == before
        await pilot.pause()
        assert app.screen_lines()[0] == top


async def test_a_scroll_position_is_restored() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 80, complete=True))
        timeline.scroll_to_seq(40)
        await pilot.pause()
        place, lines = timeline.place, app.screen_lines()
        log = timeline.shown
        timeline.show(Log(), "dave", read=0)
        await pilot.pause()
        assert timeline.place is None
        assert app.screen_lines() == [""] * 20
        timeline.show(log, "dave", read=1_000, place=place)
        await pilot.pause()
        assert app.screen_lines() == lines, "the loaded messages show at once"
        bring(timeline, page(1, 90, complete=True, reset=True))
        await pilot.pause()
        assert app.screen_lines() == lines
        timeline.jump_to_bottom()
        await pilot.pause()
        assert timeline.place is None


async def test_another_channels_lines_are_not_shown() -> None:
    async with opened() as (app, timeline, pilot):
        before = timeline.shown
        timeline.show(Log(), "dave", read=0)
        assert not timeline.apply(before.apply(page(1, 3)))
        await pilot.pause()
        assert not any(app.screen_lines())
        assert not timeline.scroll_to_seq(2)


@pytest.mark.feature("reading.rule")
async def test_the_unread_rule_is_above_the_first_unread_message() -> None:
    async with opened(read=4) as (app, timeline, pilot):
        bring(timeline, page(1, 8))
        await pilot.pause()
        assert "── new ──" in app.screen_lines()[app.line_of("message 5") - 2]
        bring(timeline, page(9, 9))
        await pilot.pause()
        assert "── new ──" in app.screen_lines()[app.line_of("message 5") - 2]
        timeline.unread_from = None
        await pilot.pause()
        assert not any("── new ──" in line for line in app.screen_lines())


async def test_messages_seen_arriving_get_no_unread_rule() -> None:
    async with opened(read=4) as (app, timeline, pilot):
        bring(timeline, page(1, 4))
        await pilot.pause()
        bring(timeline, changed(say(5, "seen", ts=0)))  # the clock is far behind
        await pilot.pause()
        app.app_focus = False
        bring(timeline, changed(say(6, "missed")))
        await pilot.pause()
        lines = app.screen_lines()
        assert [line for line in lines if "new" in line] == [lines[app.line_of("missed") - 2]]
        app.app_focus = True


async def test_the_unread_rule_appears_once_its_message_is_loaded() -> None:
    async with opened(read=4) as (app, timeline, pilot):
        bring(timeline, page(6, 8))
        await pilot.pause()
        bring(timeline, changed(say(9, ts=2**45)))
        await pilot.pause()
        assert not any("── new ──" in line for line in app.screen_lines())
        bring(timeline, page(1, 5))
        await pilot.pause()
        assert timeline.unread_seq == 5
        assert "── new ──" in app.screen_lines()[app.line_of("message 5") - 2]


def selected(app: Home) -> int | None:
    message = app.timeline.cursor
    return message.seq if message else None


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the app work until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause()


async def test_the_cursor_goes_from_message_to_message() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 50, complete=True))
        await pilot.press("up", "k", "up", "j")
        assert timeline.cursor == say(49, author="bob")
        assert [told.message.seq for told in app.all_told(Timeline.Selected)] == [50, 49, 48, 49]
        await pilot.press(*["up"] * 20)
        assert f"message {selected(app)}" in "\n".join(app.screen_lines())
        await pilot.press("g")
        await until(pilot, lambda: (selected(app), timeline.at_bottom) == (1, False))
        await pilot.press("G")
        await until(pilot, lambda: (selected(app), timeline.at_bottom) == (50, True))
        await pilot.press("escape")
        assert selected(app) is None
        assert app.all_told(Timeline.Selected)[-1].message is None


async def test_the_cursor_stays_on_its_message_and_is_removed_with_it() -> None:
    async with opened() as (app, timeline, pilot):
        waiting = say(None, "mine", "dave", cid="c", delivery=Delivery.PENDING)
        bring(timeline, changed(say(9), say(10), waiting))
        await pilot.press("up", "up")
        bring(timeline, changed(say(8), say(11), say(10, "edited")))
        await pilot.pause()
        assert timeline.cursor == say(10, "edited")
        await pilot.press("down", "down")
        assert timeline.cursor == waiting
        bring(timeline, changed(say(12, "mine", "dave", cid="c")))
        await pilot.pause()
        assert selected(app) == 12
        timeline.show(Log(), "dave", read=0)
        await pilot.pause()
        assert timeline.cursor is None


@pytest.mark.feature("writing.select")
async def test_letters_request_actions_on_the_message_under_the_cursor() -> None:
    async with opened() as (app, timeline, pilot):
        failed = say(None, "oops", "dave", cid="c", delivery=Delivery.FAILED)
        bring(timeline, changed(say(1, "mine", "dave"), say(2, "hello"), failed))
        await pilot.press("r", "e")
        assert app.all_told(Timeline.ActionRequested) == [], "there is no cursor yet"
        keys = ("up r", "x", "up r", "plus", "up e", "d", "c", "o")
        for count, pressed in enumerate(keys):
            await pilot.press(*pressed.split())
            async with asyncio.timeout(PATIENCE):
                while len(app.all_told(Timeline.ActionRequested)) == count:
                    await pilot.pause()
        asked = [(told.name, told.message.text) for told in app.all_told(Timeline.ActionRequested)]
        assert asked == [
            ("retry", "oops"), ("discard", "oops"), ("reply", "hello"), ("react", "hello"),
            ("edit", "mine"), ("delete", "mine"), ("copy", "mine"), ("open", "mine"),
        ]  # fmt: skip


def test_every_key_has_an_id_and_a_description() -> None:
    for binding in Timeline.BINDINGS:
        assert not isinstance(binding, tuple)
        assert binding.id
        assert binding.description


async def test_a_click_selects_and_a_click_on_a_link_follows_it() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1, "one"), say(2, "[here](https://example.org/a) it is")))
        await pilot.pause()
        await pilot.click(timeline, offset=(8, app.line_of("one")))
        assert timeline.cursor == say(1, "one")
        await pilot.click(timeline, offset=(8, app.line_of("here")))
        assert [told.url for told in app.all_told(Timeline.LinkClicked)] == [
            "https://example.org/a"
        ]
        assert timeline.cursor == say(1, "one")
        await pilot.click(timeline, offset=(8, 0))
        assert timeline.cursor is None


@pytest.mark.feature("around.links")
async def test_a_wrapped_link_is_one_hyperlink_on_all_its_rows() -> None:
    url = "https://example.org/" + "a" * 60
    async with opened() as (_, timeline, pilot):
        bring(timeline, changed(say(1, f"see {url} and {url}b")))
        await pilot.pause()
        strips = [timeline.render_line(y) for y in range(timeline.size.height)]
    rows = [
        {(style.link, style.link_id) for _, style, _ in strip if style and style.link}
        for strip in strips
    ]
    linked = [row for row in rows if row]
    assert len(linked) >= 4
    assert len({link for row in linked for link, _ in row}) == 2
    assert len({pair for row in linked for pair in row}) == 2


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> None:
    timeline = pilot.app.query_one(Timeline)
    await pilot.mouse_down(timeline, offset=start)
    await pilot.hover(timeline, offset=end)
    await pilot.mouse_up(timeline, offset=end)
    await pilot.pause()


async def test_a_mouse_selection_stays_when_lines_arrive() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(10, "漢字 and 👩‍👩‍👧 family"), say(11, "second line")))
        await pilot.pause()
        first, second = app.line_of("family"), app.line_of("second")
        await drag(pilot, (12, first), (12, second))
        assert app.screen.get_selected_text() == "and 👩‍👩‍👧 family\nsecond"
        bring(timeline, page(1, 9))
        bring(timeline, page(12, 12))
        await pilot.pause()
        assert app.screen.get_selected_text() == "and 👩‍👩‍👧 family\nsecond"
        assert timeline.cursor is None
        await drag(pilot, (16, app.line_of("family")), (17, app.line_of("family")))
        assert app.screen.get_selected_text() == "👩‍👩‍👧"


async def test_a_drag_from_the_gutter_begins_with_the_line() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1, "a whole line")))
        await pilot.pause()
        await drag(pilot, (1, 19), (30, 19))
        assert app.screen.get_selected_text() == "a whole line"


async def test_a_double_click_selects_the_message() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1, "word " * 40 + "end"), say(2)))
        await pilot.pause()
        await pilot.double_click(timeline, offset=(9, app.line_of("word")))
        await pilot.pause()
        assert app.screen.get_selected_text() == "word " * 40 + "end"


async def test_the_time_of_a_grouped_message_shows_under_the_mouse() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1), say(2)))
        await pilot.pause()
        y = app.line_of("message 2")
        assert "12:02" not in app.screen_lines()[y]
        await pilot.hover(timeline, offset=(9, y))
        assert app.screen_lines()[y].strip() == "12:02 message 2"
        await pilot.hover(Input)
        assert "12:02" not in app.screen_lines()[y]


async def test_the_wheel_and_the_scroll_bar_scroll() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, page(1, 400, complete=True))
        await pilot.pause()
        before = app.screen_lines()
        app.post_message(mouse(MouseScrollUp, timeline.region.offset + Offset(5, 5)))
        await pilot.pause()
        assert app.screen_lines()[3:] == before[:-3]
        app.post_message(mouse(MouseScrollDown, timeline.region.offset + Offset(5, 5)))
        await pilot.pause()
        assert app.screen_lines() == before
        timeline.scroll_to(y=100, animate=False)
        await pilot.pause()
        assert timeline.scroll_y == 100
        assert timeline.vertical_scrollbar.position == 100
        timeline.scroll_home(animate=False)
        await pilot.pause()
        assert "beginning" in app.screen_lines()[0]
        timeline.scroll_end(animate=False)
        await pilot.pause()
        assert timeline.at_bottom
        timeline.scroll_page_up(animate=False)
        await pilot.pause()
        assert not timeline.at_bottom


async def test_a_new_theme_recolors_visible_lines() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(say(1, "hello", "alice")))
        await pilot.pause()

        def color() -> object:
            strip = timeline.render_line(app.line_of("alice"))
            return next(segment.style for segment in strip if segment.text == "alice")

        dark = color()
        app.theme = "textual-light"
        await pilot.pause()
        assert color() != dark


class Recorded(Timeline):
    """A timeline that records what it paints: the width, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.paintings: list[tuple[int, str]] = []

    def render_lines(self, crop: Region) -> list[Strip]:
        strips = super().render_lines(crop)
        self.paintings.append((self.size.width, "\n".join(strip.text for strip in strips)))
        return strips


class Filled(Home):
    """A timeline with lines before it has a size."""

    def compose(self) -> ComposeResult:
        yield Recorded()
        yield Input()

    @property
    def timeline(self) -> Recorded:
        return self.query_one(Recorded)

    def on_mount(self) -> None:
        self.timeline.show(Log(), "me", read=0)
        bring(self.timeline, page(1, 9))


async def test_the_first_paint_shows_the_lines() -> None:
    app = Filled()
    async with app.run_test(size=SIZE):
        assert "message 9" in app.timeline.paintings[0][1]


async def test_a_new_size_is_painted_before_the_resize_event() -> None:
    app = Filled()
    async with app.run_test(size=SIZE) as pilot:
        app.timeline.paintings.clear()
        await pilot.resize_terminal(40, 21)
        await pilot.pause()
        shown = [picture for width, picture in app.timeline.paintings if width == 40]
        assert shown[0].splitlines()[-1] == app.timeline.render_line(19).text


async def test_the_bottom_stays_in_view_when_the_window_grows_taller_and_narrower() -> None:
    class Tall(Home):
        CSS = "Timeline { height: 1fr; } Input { height: 1; border: none; }"

    app = Tall()
    async with app.run_test(size=SIZE) as pilot:
        app.timeline.show(Log(), "me", read=0)
        bring(app.timeline, changed(*(say(seq, "word " * 40) for seq in range(1, 50))))
        await pilot.pause()
        await pilot.resize_terminal(40, 24)
        await pilot.pause()
        assert app.timeline.at_bottom


def test_painted_styles_are_released() -> None:
    style = Style(bold=True, meta={"offset": (3, 4)})
    Strip([Segment("text", style)]).render(Console(color_system="truecolor"))
    assert Strip.render_ansi.cache_info().currsize
    forget_styles()
    assert not Strip.render_ansi.cache_info().currsize


def rows_of(timeline: Timeline) -> list[Strip]:
    """Return the painted strip of each screen line; the same object unless it was painted again."""
    return [timeline.render_line(y) for y in range(timeline.size.height)]


async def test_only_rows_that_changed_are_painted() -> None:
    async with opened() as (_, timeline, pilot):
        bring(timeline, page(1, 50))
        await pilot.pause()
        before = rows_of(timeline)
        bring(timeline, changed(say(50, "edited", "carol")))
        await pilot.pause()
        again = [new for old, new in zip(before, rows_of(timeline), strict=True) if new is not old]
        assert ["edited" in strip.text for strip in again] == [True]


async def test_an_arrival_paints_itself_and_moves_the_rest() -> None:
    async with opened() as (home, timeline, pilot):
        bring(timeline, page(1, 50))
        await pilot.pause()
        before = rows_of(timeline)
        bring(timeline, changed(say(51, "one more", "dave")))
        await pilot.pause()
        known = {id(strip) for strip in before}
        again = [strip.text for strip in rows_of(timeline) if id(strip) not in known]
        assert ["dave" in text for text in again] == [True, False]
        assert ["one more" in text for text in again] == [False, True]
        assert "one more" in home.screen_lines()[19]


async def test_hostile_text_fills_exactly_the_width() -> None:
    async with opened() as (_, timeline, pilot):
        bring(timeline, changed(*(say(seq, bad * 9, bad) for seq, bad in enumerate(NASTY, 1))))
        for key in ("home", "pagedown", "pagedown", "end"):
            await pilot.press(key)
            for y in range(20):
                strip = timeline.render_line(y)
                assert strip.cell_length == timeline.size.width
                assert is_harmless(strip.text)


@pytest.mark.parametrize("size", [(20, 6), (80, 24), (160, 50)])
async def test_every_size_can_be_painted(size: tuple[int, int]) -> None:
    async with opened(size=size) as (_, timeline, pilot):
        bring(timeline, page(1, 50, complete=True))
        await pilot.press("home", "pagedown", "up")
        widths = {timeline.render_line(y).cell_length for y in range(timeline.size.height)}
        assert widths == {timeline.size.width}


async def test_the_author_is_pinned_while_a_long_run_scrolls() -> None:
    async with opened() as (app, timeline, pilot):
        bring(timeline, changed(*(say(seq) for seq in range(1, 60)), reset=True, complete=True))
        await pilot.pause()
        for _ in range(2):
            top, below = app.screen_lines()[:2]
            assert top.endswith(" alice")
            assert "message" in below
            await pilot.press("pageup")
        await pilot.press("home")
        assert app.screen_lines()[0].endswith("beginning of #general.")


MINE = say(1, "mine", "Dave")
OTHERS = say(2, "hello", "alice")
FAILED = say(None, "oops", "dave", cid="c", delivery=Delivery.FAILED)
SENDING = say(None, "soon", "dave", cid="c", delivery=Delivery.PENDING)
GONE = say(3, "", "dave", deleted=True)
TICK = say(None, "41", kind="tick")


@pytest.mark.parametrize(
    ("message", "actions"),
    [
        (MINE, "reply react edit delete copy open"),
        (OTHERS, "reply react delete copy open"),
        (FAILED, "retry copy discard"),
        (SENDING, "copy discard"),
        (GONE, ""),
        (TICK, "copy"),
    ],
)
def test_actions_on_a_message_depend_on_its_state(message: Message, actions: str) -> None:
    keys = ("reply", "react", "edit", "delete", "copy", "open", "discard")
    found = [action for key in keys if (action := may(key, message, "dave"))]
    assert found == actions.split()


def test_the_cursor_skips_events() -> None:
    log = Log()
    log.apply(changed(event(1, "join"), say(2), event(3, "topic"), event(4, "role"), say(5), TICK))
    assert [nearest(log, index, 1) for index in (0, 2, 5, 6)] == [1, 4, 5, None]
    assert [nearest(log, index, -1) for index in (3, 0, -1)] == [1, None, None]
