"""The main screen: its layout at different widths, and its keys."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from textual import events
from textual.geometry import Region, Size
from textual.widget import Widget

from chat.client.model.state import (
    ChannelsChanged,
    ConnectionChanged,
    Link,
    MembersChanged,
    Reaction,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
)
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.messages import ActionRequested, LinkClicked
from chat.client.tui.widgets.bars import Banner
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.sidebar import Sidebar
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open

MEMBERS = (("zed", "owner", "online"), ("bob", "member", "away"), ("amy", "member", "offline"))


@pytest.mark.parametrize(
    ("width", "sidebar", "members"),
    [(60, False, False), (80, False, False), (99, False, False), (100, True, True)],
)
@pytest.mark.feature("around.narrow")
async def test_sidebar_and_member_list_hide_in_a_narrow_terminal(
    open_desktop: Open, width: int, sidebar: bool, members: bool
) -> None:
    async with open_desktop(info("#general"), size=(width, 24)) as desktop:
        for key, shown in (("f2", sidebar), ("f3", members)):
            pane = desktop.main.query_one(Sidebar if key == "f2" else MemberList)
            assert pane.display is shown
            await desktop.press(key)
            assert pane.display is not shown
            await desktop.press(key)
            assert pane.display is shown


async def test_in_a_narrow_terminal_one_list_replaces_the_other(
    open_desktop: Open,
) -> None:
    async with open_desktop(info("#general"), size=(80, 24)) as desktop:
        await desktop.press("f2", "f3")
        assert not desktop.main.query_one(Sidebar).display
        assert desktop.main.query_one(MemberList).display
        await desktop.press("f2")
        assert desktop.main.query_one(Sidebar).display
        assert not desktop.main.query_one(MemberList).display


async def test_a_list_hidden_in_a_wide_terminal_stays_hidden(open_desktop: Open) -> None:
    async with open_desktop(info("#general"), size=(120, 24)) as desktop:
        sidebar, members = desktop.main.query_one(Sidebar), desktop.main.query_one(MemberList)

        async def at(width: int, *keys: str) -> tuple[bool, bool]:
            await desktop.pilot.resize_terminal(width, 24)
            await desktop.press(*keys)
            return sidebar.display, members.display

        assert await at(120, "f2", "f3", "f3") == (False, True)
        assert await at(80) == (False, False)
        assert await at(80, "f3") == (False, True)
        assert await at(120) == (False, True)
        assert await at(120, "f2") == (True, True)
        assert await at(80) == (False, True)


@pytest.mark.feature("reading.activity")
async def test_the_sidebar_shows_counts_mentions_and_drafts(open_desktop: Open) -> None:
    channels = (
        info("#general"),
        info("#dev", unread=12),
        info("#ops", unread=4, mentions=2),
        info("#tea", has_draft=True),
        info("@alice,me", unread=1),
    )
    async with open_desktop(*channels, size=(100, 24)) as desktop:
        rows = [line[:24].split() for line in desktop.screen().splitlines()]
        for row in ("2 # dev 12", "3 # ops @2", "4 # tea ✎", "5 @ alice 1"):
            assert row.split() in rows
        assert rows.index(["Direct"]) > rows.index(["4", "#", "tea", "✎"])


async def test_members_are_listed_by_presence_and_counted_once(open_desktop: Open) -> None:
    async with open_desktop(info("#general"), size=(120, 24)) as desktop:
        desktop.core.tell(MembersChanged("#general", MEMBERS, 40))
        await desktop.until(lambda: "zed" in desktop.screen())
        right = [line[-22:].strip() for line in desktop.screen().splitlines()]
        assert right[0] == "40 members"
        assert [row.split()[:2] for row in right[1:4]] == [["●", "zed"], ["◐", "bob"], ["○", "amy"]]
        assert right[4] == "and 37 more: /who"
        desktop.core.tell(MembersChanged("#general", MEMBERS[:2], 2))
        await desktop.until(lambda: desktop.screen().splitlines()[0].strip().endswith("2 members"))
        desktop.core.tell(MembersChanged("#general", MEMBERS[:1], 1))
        await desktop.until(lambda: desktop.screen().splitlines()[0].strip().endswith("1 member"))


async def test_typing_users_are_shown_above_the_composer(desktop: Desktop) -> None:
    desktop.core.tell(TypingChanged("#general", ("alice",)))
    await desktop.until(lambda: "alice is typing…" in desktop.screen())
    desktop.core.tell(TypingChanged("#general", ("alice", "bob")))
    await desktop.until(lambda: "alice and bob are typing…" in desktop.screen())
    desktop.core.tell(TypingChanged("#general", ()))
    await desktop.until(lambda: "typing" not in desktop.screen())


async def test_a_lost_connection_shows_a_countdown(desktop: Desktop) -> None:
    waiting = ConnectionChanged(Link.WAITING, "There is no server. Start one: chat-server", 5.0)
    desktop.core.tell(waiting)
    await desktop.until(lambda: "Start one: chat-server" in desktop.screen())
    assert "offline, retrying in 5 s" in desktop.screen()
    # The banner stays during the next attempt.
    desktop.core.tell(ConnectionChanged(Link.CONNECTING))
    await desktop.until(lambda: "connecting…" in desktop.screen())
    assert desktop.main.query_one(Banner).has_class("-shown")
    desktop.core.tell(ConnectionChanged(Link.ONLINE, user="me", server="home"))
    await desktop.until(lambda: "Start one" not in desktop.screen())


@pytest.mark.feature("writing.outbox")
async def test_reading_and_writing_work_offline(desktop: Desktop) -> None:
    desktop.core.tell(ConnectionChanged(Link.WAITING, "no server", 5.0))
    await desktop.type("for later", "enter")
    await desktop.until(lambda: desktop.core.asked("send"))
    await desktop.until(lambda: "for later" in desktop.screen())
    assert "good morning" in desktop.screen()


async def test_without_a_channel_the_screen_explains_how_to_start(open_desktop: Open) -> None:
    async with open_desktop() as desktop:
        desktop.core.go_online()
        await desktop.until(lambda: "/channels" in desktop.screen())
        assert "You have not joined a channel yet" in desktop.screen()


async def test_alt_up_and_down_move_through_the_channels(desktop: Desktop) -> None:
    state = desktop.conversation.state
    await desktop.press("alt+down")
    assert state.current == "#tea"
    await desktop.press("alt+up", "alt+up")
    assert state.current == "@alice,me"
    await desktop.press("alt+left")
    assert state.current == "#general"


@pytest.mark.feature("reading.tour")
async def test_alt_a_visits_unread_channels_and_returns(desktop: Desktop) -> None:
    state, core = desktop.conversation.state, desktop.core
    core.tell(ChannelsChanged((info("#general"), info("#tea", unread=1, mentions=1))))
    await desktop.press("alt+a")
    await desktop.until(lambda: state.current == "#tea")
    core.tell(ChannelsChanged((info("#general"), info("#tea"))))
    await desktop.press("alt+a")
    await desktop.until(lambda: state.current == "#general")
    await desktop.press("alt+a")
    await desktop.until(lambda: desktop.notices == ["No unread messages."])


@pytest.mark.feature("reading.seen")
async def test_visible_messages_are_read_only_with_the_focus(open_desktop: Open) -> None:
    async with open_desktop(info("#general")) as desktop:
        desktop.app.post_message(events.AppBlur())
        await desktop.until(lambda: not desktop.conversation.reading.is_watched)
        page = (said(1, "bob", "one"), said(2, "bob", "two"))
        desktop.core.tell(TimelineChanged("#general", upserts=page, complete=True))
        await desktop.until(lambda: "two" in desktop.screen())
        await desktop.until(lambda: desktop.main.query_one(Timeline).seen == 2)
        await desktop.pilot.pause()
        assert desktop.core.asked("mark") == []
        desktop.app.post_message(events.AppFocus())
        await desktop.until(lambda: desktop.core.asked("mark") == [("#general", 2)])


async def test_messages_behind_a_dialog_stay_unread(desktop: Desktop) -> None:
    await desktop.until(lambda: desktop.core.asked("mark") == [("#general", 6)])
    await desktop.press("f1")
    await desktop.until(lambda: not desktop.conversation.reading.is_watched)
    desktop.core.tell(TimelineChanged("#general", upserts=(said(7, "bob", "psst"),)))
    await desktop.until(lambda: desktop.main.query_one(Timeline).seen == 7)
    assert desktop.core.asked("mark") == [("#general", 6)]
    await desktop.press("escape")
    await desktop.until(lambda: desktop.core.asked("mark")[-1] == ("#general", 7))


async def test_the_window_title_shows_the_channel_and_the_unread_count(desktop: Desktop) -> None:
    await desktop.until(lambda: desktop.app.title == "#general – chat")
    desktop.core.tell(ChannelsChanged((info("#general"), info("@alice,me", unread=2))))
    await desktop.until(lambda: desktop.app.title == "(2) #general – chat")


async def test_page_keys_scroll_the_timeline_from_the_composer(desktop: Desktop) -> None:
    page = tuple(said(seq, "bob", f"line {seq}") for seq in range(1, 80))
    desktop.core.tell(TimelineChanged("#general", upserts=page, reset=True, complete=True))
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: "line 79" in desktop.screen())
    await desktop.press("pageup")
    await desktop.until(lambda: not timeline.at_bottom)
    await desktop.until(lambda: "below" in desktop.screen())
    assert desktop.composer.has_focus
    await desktop.press("ctrl+end")
    await desktop.until(lambda: timeline.at_bottom)


async def test_sending_a_message_shows_the_newest_messages(desktop: Desktop) -> None:
    page = tuple(said(seq, "bob", f"line {seq}") for seq in range(1, 80))
    desktop.core.tell(TimelineChanged("#general", upserts=page, reset=True, complete=True))
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: "line 79" in desktop.screen())
    await desktop.press("pageup")
    await desktop.until(lambda: "below · Ctrl+End" in desktop.screen())
    await desktop.type("/star", "enter")
    assert not timeline.at_bottom, "a command does not scroll"
    await desktop.type("mine", "enter")
    await desktop.until(lambda: timeline.at_bottom and "line 79" in desktop.screen())


class TestMessages:
    """Actions on one message."""

    @pytest.mark.feature("writing.select")
    async def test_a_message_is_selected_with_keys_and_replied_to(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+up")
        timeline = desktop.main.query_one(Timeline)
        await desktop.until(lambda: timeline.cursor is not None)
        await desktop.until(lambda: "r reply" in desktop.screen())
        await desktop.press("up", "r")
        await desktop.until(lambda: "Replying to carol: no" in desktop.screen())
        assert desktop.composer.has_focus

    async def test_escape_focuses_the_composer(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+up", "escape")
        await desktop.until(lambda: desktop.composer.has_focus)
        assert desktop.main.query_one(Timeline).cursor is None

    async def test_unused_letters_are_typed_into_the_composer(self, desktop: Desktop) -> None:
        await desktop.type("he")
        await desktop.press("ctrl+up", *"llo")
        await desktop.until(lambda: desktop.composer.text == "hello")
        assert desktop.composer.has_focus

    async def test_letters_that_arrive_together_are_all_typed(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+up")
        for letter in "writing":
            desktop.app.post_message(events.Key(letter, letter))
        await desktop.until(lambda: desktop.composer.text == "writing")

    async def test_a_click_beside_the_messages_keeps_the_focus_in_the_composer(
        self, desktop: Desktop
    ) -> None:
        timeline = desktop.main.query_one(Timeline)
        await desktop.pilot.click(timeline, offset=(10, 1))
        await desktop.until(lambda: desktop.composer.has_focus)
        await desktop.pilot.click(timeline, offset=(10, timeline.size.height - 1))
        await desktop.until(lambda: timeline.cursor is not None)
        assert desktop.composer.has_focus

    async def test_deleting_asks_first(self, desktop: Desktop) -> None:
        timeline = desktop.main.query_one(Timeline)
        for answer, deleted in (("n", []), ("y", [("#general", 6)])):
            timeline.post_message(ActionRequested("delete", said(6, "me", "mine")))
            await desktop.until(lambda: "cannot be undone" in desktop.screen())
            await desktop.answer(answer)
            await desktop.until(lambda: desktop.app.screen is desktop.main)
            assert desktop.core.asked("delete") == deleted

    @pytest.mark.feature("around.reactions")
    async def test_an_emoji_is_found_by_its_name(self, desktop: Desktop) -> None:
        timeline = desktop.main.query_one(Timeline)
        timeline.post_message(ActionRequested("react", said(2, "bob", "hello")))
        await desktop.until(lambda: "React" in desktop.screen())
        await desktop.press(*"tada", "enter")
        await desktop.until(lambda: desktop.core.asked("react"))
        assert desktop.core.asked("react") == [("#general", 2, "🎉", False)]

    async def test_common_emoji_come_first_and_a_second_reaction_removes_it(
        self, desktop: Desktop
    ) -> None:
        reacted = said(2, "bob", "hello", reactions=(Reaction("👍", ("Me",)),))
        desktop.main.query_one(Timeline).post_message(ActionRequested("react", reacted))
        await desktop.until(lambda: "React" in desktop.screen())
        await desktop.press("enter")
        await desktop.until(lambda: desktop.core.asked("react"))
        assert desktop.core.asked("react") == [("#general", 2, "👍", True)]

    @pytest.mark.feature("around.reactions")
    async def test_a_click_on_a_reaction_adds_or_removes_ones_own(self, desktop: Desktop) -> None:
        reactions = (Reaction("👍", ("me", "bob")), Reaction("🎉", ("bob",)))
        hello = said(2, "bob", "hello", reactions=reactions, rev=9)
        desktop.core.tell(TimelineChanged("#general", upserts=(hello,)))
        await desktop.until(lambda: "🎉" in desktop.screen())
        rows = desktop.screen().splitlines()
        y = next(at for at, row in enumerate(rows) if "🎉" in row)
        for x in (rows[y].index("👍"), rows[y].index("🎉") + 1):
            await desktop.pilot.click(offset=(x, y))
            await desktop.pilot.pause()
        assert desktop.core.asked("react") == [
            ("#general", 2, "👍", True),
            ("#general", 2, "🎉", False),
        ]

    @pytest.mark.feature("around.links")
    async def test_only_web_links_are_opened_others_are_copied(
        self, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[str] = []
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.setattr(desktop.app, "open_url", opened.append)
        timeline = desktop.main.query_one(Timeline)
        timeline.post_message(LinkClicked("https://example.org/a"))
        timeline.post_message(LinkClicked("file:///etc/passwd"))
        linked = said(2, "bob", "see https://example.org/b.")
        timeline.post_message(ActionRequested("open", linked))
        await desktop.until(lambda: len(opened) == 2)
        assert opened == ["https://example.org/a", "https://example.org/b"]
        assert desktop.app.clipboard == "file:///etc/passwd"

    async def test_copying_copies_the_original_text(self, desktop: Desktop) -> None:
        timeline = desktop.main.query_one(Timeline)
        timeline.post_message(ActionRequested("copy", said(2, "bob", "**hello**\nthere")))
        await desktop.until(lambda: desktop.app.clipboard == "**hello**\nthere")


async def test_an_arrival_redraws_the_timeline_and_nothing_around_it(
    open_desktop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desktop(info("#general"), size=(120, 40)) as desktop:
        lines = tuple(said(number, "bob", "word") for number in range(1, 60))
        desktop.composer.cursor_blink = False  # it redraws the composer twice a second
        desktop.core.tell(TimelineChanged("#general", lines, reset=True))
        desktop.core.tell(ChannelsChanged((info("#general", head=59),)))
        await desktop.pilot.pause()
        redrawn: set[str] = set()
        refresh = Widget.refresh

        def noted(self: Widget, *regions: Region, **how: bool) -> Widget:
            redrawn.add(type(self).__name__)
            return refresh(self, *regions, **how)

        monkeypatch.setattr(Widget, "refresh", noted)
        desktop.core.tell(TimelineChanged("#general", (said(60, "bob", "again"),)))
        desktop.core.tell(ChannelsChanged((info("#general", head=60),)))
        await desktop.pilot.pause()
        assert redrawn == {"Timeline", "ScrollBar"}


async def test_the_composer_wraps_again_after_a_resize(desktop: Desktop) -> None:
    written = "中" + "漢" * 36 + "字字字"
    await desktop.type(written, "left", "left", "left")
    for width in (100, 80, 130, 60):
        await desktop.pilot.resize_terminal(width, 24)
        await desktop.until(lambda: _of(written, desktop) == written, f"all of it, {width} wide")
        await desktop.until(
            lambda: desktop.app.cursor_position == _first("字", desktop),
            f"the cursor is at its place, {width} wide",
        )


def _of(text: str, desktop: Desktop) -> str:
    """Return the visible characters of `text`."""
    return "".join(char for char in desktop.screen() if char in text)


def _first(char: str, desktop: Desktop) -> tuple[int, int]:
    """Return the first cell that shows `char`."""
    rows = desktop.screen().splitlines()
    y = next(y for y, row in enumerate(rows) if char in row)
    return cell_len(rows[y][: rows[y].index(char)]), y


async def test_a_late_resize_event_is_ignored(desktop: Desktop) -> None:
    size = desktop.main.size
    desktop.main.post_message(events.Resize(Size(40, 5), Size(40, 5)))
    await desktop.pilot.pause()
    assert desktop.main.size == size
    assert desktop.main.query_one("#body").size.width == size.width


async def test_the_header_names_the_other_member_of_a_direct_channel(open_desktop: Open) -> None:
    async with open_desktop(info("@alice,me", head=1), size=(120, 24)) as desktop:
        desktop.core.pages["@alice,me"] = (said(1, "alice", "psst", "@alice,me"),)
        desktop.core.open_channel("@alice,me")
        desktop.core.tell(TimelineChanged("@alice,me", complete=True))
        await desktop.until(lambda: "Message @alice" in desktop.screen())
        await desktop.until(lambda: "This is the beginning of @alice." in desktop.screen())
        assert desktop.app.title == "@alice – chat"
        await desktop.type("/thread 1", "enter")
        change = TimelineChanged(
            "@alice,me", (said(1, "alice", "psst", "@alice,me"),), reset=True, complete=True
        )
        desktop.core.tell(ThreadChanged("@alice,me", 1, 1, change))
        await desktop.until(lambda: "Thread in @alice" in desktop.screen())
        assert "alice,me" not in desktop.screen()


async def test_a_channel_that_was_open_shows_before_the_core_answers(desktop: Desktop) -> None:
    await desktop.until(lambda: "good morning" in desktop.screen())
    await desktop.press("alt+2")
    await desktop.until(lambda: "good morning" not in desktop.screen())
    desktop.core.is_slow = True
    await desktop.press("alt+1")
    await desktop.until(lambda: "good morning" in desktop.screen())
