"""The thread pane: opening, replying, drafts, and closing."""

from __future__ import annotations

import pytest

from chat.client.model.state import ChannelsChanged, ThreadChanged, TimelineChanged
from chat.client.tui.composer.widget import Composer
from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.conversation_pane import ConversationPane
from chat.client.tui.widgets.members import MemberList
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open

ROOT = said(3, "alice", "tea?")
REPLIES = (
    said(4, "bob", "yes", reply_to=3, thread=3),
    said(6, "me", "mine", reply_to=4, thread=3),
)


@pytest.fixture
async def open_thread(desktop: Desktop) -> Desktop:
    """Return a client that shows the thread of message 3, with two replies."""
    await desktop.type("/thread 3", "enter")
    assert desktop.core.asked("open_thread") == [("#general", 3)]
    await tell(desktop, ROOT, *REPLIES, reset=True)
    return desktop


async def tell(desktop: Desktop, *lines: object, reset: bool = False) -> None:
    change = TimelineChanged("#general", lines, reset=reset, complete=True)  # type: ignore[arg-type]  # messages
    desktop.core.tell(ThreadChanged("#general", 3, 3, change))
    await desktop.until(lambda: side(desktop).display, "the thread is shown")
    await desktop.pilot.pause()


def side(desktop: Desktop) -> ConversationPane:
    return desktop.main.thread


def composer(desktop: Desktop) -> Composer:
    return side(desktop).composer


async def write(desktop: Desktop, text: str, *keys: str) -> None:
    composer(desktop).insert(text)
    await desktop.press(*keys)


@pytest.mark.feature("reading.threads")
async def test_a_thread_opens_beside_its_channel(open_thread: Desktop) -> None:
    shown = open_thread.screen()
    assert "Thread in #general" in shown
    assert "Esc close" in shown
    assert shown.count("tea?") == 2
    assert composer(open_thread).has_focus
    # A reply to the root has no quote in its thread; a reply to another message has one.
    assert "bob: yes" in shown
    assert "alice: tea?" not in shown


@pytest.mark.feature("reading.threads")
async def test_a_message_shows_its_reply_count_and_t_opens_the_thread(desktop: Desktop) -> None:
    desktop.core.tell(TimelineChanged("#general", upserts=REPLIES))
    await desktop.until(lambda: "↳ 2 replies" in desktop.screen(), "the count")
    gone = said(4, "bob", "", thread=3, deleted=True, rev=9)
    desktop.core.tell(TimelineChanged("#general", upserts=(gone,)))
    await desktop.until(lambda: "↳ 1 reply" in desktop.screen(), "the smaller count")
    await desktop.press("ctrl+up", "up", "t")
    await desktop.until(lambda: desktop.core.asked("open_thread") == [("#general", 5)])


async def test_a_click_on_the_count_opens_the_thread(desktop: Desktop) -> None:
    desktop.core.tell(TimelineChanged("#general", upserts=REPLIES))
    await desktop.until(lambda: "↳ 2 replies" in desktop.screen(), "the count")
    rows = desktop.screen().splitlines()
    (y,) = [number for number, row in enumerate(rows) if "↳ 2 replies" in row]
    await desktop.pilot.click(offset=(rows[y].index("2 replies"), y))
    await desktop.pilot.pause()
    assert desktop.core.asked("open_thread") == [("#general", 3)]


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_click_on_the_reply_count_opens_the_threads_composer(
    desktop: Desktop, is_open: bool
) -> None:
    await desktop.pilot.resize_terminal(120, 36)
    desktop.core.tell(TimelineChanged("#general", upserts=REPLIES))
    if is_open:
        await desktop.type("/thread 3", "enter")
        await tell(desktop, ROOT, *REPLIES, reset=True)
        await desktop.click_on("carol")
        await desktop.until(lambda: desktop.composer.has_focus)
    await desktop.click_on("2 replies")
    await desktop.press(*"dear")
    await desktop.until(lambda: composer(desktop).text == "dear")
    assert desktop.composer.text == ""
    await desktop.press("ctrl+u", "escape")
    await desktop.until(lambda: not side(desktop).display)


async def test_escape_in_the_channels_composer_closes_the_thread(
    open_thread: Desktop,
) -> None:
    await open_thread.press("alt+t")
    await open_thread.until(lambda: open_thread.composer.has_focus)
    await open_thread.press("escape")
    await open_thread.until(lambda: not side(open_thread).display)


async def test_a_click_in_the_thread_selects_there_and_letters_are_typed_there(
    open_thread: Desktop,
) -> None:
    await open_thread.click_on("tea?")
    await open_thread.until(lambda: open_thread.composer.has_focus)
    await open_thread.click_on("Thread in")
    await open_thread.until(lambda: composer(open_thread).has_focus)
    timelines = list(open_thread.main.query(Timeline))
    thread = side(open_thread).timeline
    rows = open_thread.screen().splitlines()
    y = max(at for at, row in enumerate(rows) if "mine" in row[thread.region.x :])
    await open_thread.pilot.click(offset=(rows[y].rindex("mine"), y))
    await open_thread.until(lambda: thread.cursor is not None)
    assert [each.cursor is not None for each in timelines] == [each is thread for each in timelines]
    await open_thread.press(*"deploy")
    await open_thread.until(lambda: composer(open_thread).text == "deploy")
    assert open_thread.app.screen is open_thread.main
    assert thread.cursor is None


async def test_the_message_bar_acts_in_the_thread_of_the_clicked_message(
    open_thread: Desktop,
) -> None:
    thread = side(open_thread).timeline
    rows = open_thread.screen().splitlines()
    y = max(at for at, row in enumerate(rows) if "mine" in row[thread.region.x :])
    await open_thread.pilot.click(offset=(rows[y].rindex("mine"), y))
    await open_thread.click_on("edit")
    await open_thread.until(lambda: composer(open_thread).text == "mine")
    assert open_thread.composer.text == ""


async def test_the_placeholder_shows_where_text_is_sent(open_thread: Desktop) -> None:
    def lit() -> list[bool]:
        primary = open_thread.app.theme_variables["text-primary"]
        prompts = open_thread.main.query(".prompt")
        return [each.styles.color.hex.lower() == primary.lower() for each in prompts]

    await open_thread.until(lambda: lit() == [False, True], "in the thread")
    await open_thread.press("alt+t")
    await open_thread.until(lambda: lit() == [True, False], "in the channel")
    await open_thread.press("ctrl+up")
    await open_thread.until(lambda: lit() == [False, False], "nowhere")


@pytest.mark.feature("writing.threads")
async def test_text_sent_in_the_thread_is_a_reply(open_thread: Desktop) -> None:
    await write(open_thread, "green, please", "enter")
    assert open_thread.core.asked("send") == [("#general", "green, please", False, 3)]
    await write(open_thread, "/me nods", "enter")
    assert open_thread.core.asked("send")[1:] == [("#general", "nods", True, 3)]
    assert composer(open_thread).text == open_thread.composer.text == ""


@pytest.mark.feature("writing.threads")
async def test_a_thread_message_is_replied_to_or_edited_in_the_thread(open_thread: Desktop) -> None:
    await open_thread.press("ctrl+up", "up", "r")
    await open_thread.until(lambda: "Replying to" in open_thread.screen())
    await write(open_thread, "which?", "enter")
    assert open_thread.core.asked("send") == [("#general", "which?", False, 4)]
    await open_thread.press("up")  # the user's last message in the thread
    assert composer(open_thread).text == "mine"
    await write(open_thread, "!", "enter")
    assert open_thread.core.asked("edit") == [("#general", 6, "mine!")]
    assert open_thread.composer.text == ""


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("/reply indeed", ("send", "#general", "indeed", False, 6)),
        ("/reply 4 indeed", ("send", "#general", "indeed", False, 4)),
        ("/edit better", ("edit", "#general", 6, "better")),
        ("/react :tea:", ("react", "#general", 6, "🍵", False)),
        ("/pin last", ("pin", "#general", 6, False)),
    ],
)
@pytest.mark.feature("writing.threads")
async def test_commands_in_a_thread_use_its_latest_message(
    open_thread: Desktop, command: str, call: tuple[object, ...]
) -> None:
    newer = (said(7, "bob", "elsewhere"), said(8, "me", "also elsewhere"))
    open_thread.core.tell(TimelineChanged("#general", upserts=newer))
    await open_thread.until(lambda: "also elsewhere" in open_thread.screen(), "the newer ones")
    await write(open_thread, command, "enter")
    assert call in open_thread.core.calls
    assert composer(open_thread).text == open_thread.composer.text == ""


async def test_delete_in_a_thread_asks_about_its_latest_message(open_thread: Desktop) -> None:
    await write(open_thread, "/delete", "enter")
    await open_thread.until(lambda: isinstance(open_thread.app.screen, Confirm), "the question")
    assert "mine" in open_thread.screen()
    assert open_thread.core.asked("delete") == []


async def test_edit_in_a_thread_uses_the_threads_composer(open_thread: Desktop) -> None:
    await write(open_thread, "/edit", "enter")
    assert composer(open_thread).text == "mine"
    assert open_thread.composer.text == ""


async def test_commands_in_a_thread_ignore_other_messages(open_thread: Desktop) -> None:
    await tell(open_thread, ROOT, reset=True)
    await write(open_thread, "/delete", "enter")
    assert open_thread.core.asked("delete") == []
    assert composer(open_thread).text == "/delete"


@pytest.mark.feature("writing.threads")
async def test_an_edit_in_a_thread_survives_switching_channels(open_thread: Desktop) -> None:
    await open_thread.press("up")
    await write(open_thread, "!", "alt+t", "alt+down", "alt+up")
    await open_thread.type("/thread 3", "enter")
    await tell(open_thread, ROOT, *REPLIES, reset=True)
    assert composer(open_thread).text == "mine!"
    assert "Editing your message" in open_thread.screen()
    await open_thread.press("enter")
    assert open_thread.core.asked("edit") == [("#general", 6, "mine!")]
    assert not open_thread.core.asked("send")


@pytest.mark.feature("writing.threads")
async def test_the_draft_of_a_thread_returns_with_it(open_thread: Desktop) -> None:
    await write(open_thread, "half a")
    await open_thread.press("alt+t")
    assert open_thread.composer.has_focus
    await open_thread.press("alt+down")
    assert not side(open_thread).display
    assert open_thread.core.drafts["#general/3"] == "half a"
    await open_thread.press("alt+up")
    await open_thread.type("/thread 3", "enter")
    await tell(open_thread, ROOT, *REPLIES, reset=True)
    assert composer(open_thread).text == "half a"


@pytest.mark.feature("reading.threads")
async def test_escape_cancels_a_reply_and_then_closes_the_thread(open_thread: Desktop) -> None:
    side(open_thread).timeline.focus()
    await open_thread.press("up", "r", "escape")
    assert "Replying to" not in open_thread.screen()
    await write(open_thread, "words", "escape")
    assert side(open_thread).display
    await open_thread.press("ctrl+u", "escape")
    assert not side(open_thread).display
    assert open_thread.composer.has_focus
    assert open_thread.core.asked("close_thread") == [()]
    open_thread.core.tell(ThreadChanged("#general", 3, 3, TimelineChanged("#general")))
    await open_thread.pilot.pause()
    assert not side(open_thread).display


async def test_a_missing_thread_closes_unless_it_has_a_draft(
    desktop: Desktop,
) -> None:
    nothing = ThreadChanged("#general", 99, 99, TimelineChanged("#general"), is_missing=True)
    desktop.core.tell(ChannelsChanged((info("#general", head=200),)))
    await desktop.pilot.pause()
    await desktop.type("/thread 99", "enter")
    await write(desktop, "half a")
    desktop.core.tell(nothing)
    await desktop.pilot.pause()
    assert side(desktop).display
    await desktop.press("ctrl+u")
    desktop.core.tell(nothing)
    await desktop.until(lambda: not side(desktop).display)
    assert desktop.composer.has_focus


async def test_messages_visible_in_a_thread_are_not_marked_as_read(open_thread: Desktop) -> None:
    marks = len(open_thread.core.asked("mark"))
    await tell(open_thread, said(99, "bob", "far below", reply_to=3, thread=3))
    assert "far below" in open_thread.screen()
    assert len(open_thread.core.asked("mark")) == marks


@pytest.mark.parametrize(("size", "is_stacked"), [((80, 24), True), ((120, 30), False)])
@pytest.mark.feature("reading.threads")
async def test_a_thread_is_below_in_a_narrow_terminal_and_beside_in_a_wide_one(
    open_desktop: Open, size: tuple[int, int], is_stacked: bool
) -> None:
    async with open_desktop(info("#general", head=6), size=size) as desktop:
        members = desktop.main.query_one(MemberList)
        assert members.display is not is_stacked
        await desktop.type("/thread 3", "enter")
        await tell(desktop, ROOT, reset=True)
        channel, thread = desktop.main.channel.region, side(desktop).region
        assert (thread.y >= channel.bottom, thread.x >= channel.right) == (
            is_stacked,
            not is_stacked,
        )
        assert not members.display
        await desktop.press("escape")
        assert members.display is not is_stacked


async def test_a_rule_separates_the_first_message_from_its_replies(open_thread: Desktop) -> None:
    await open_thread.until(lambda: "── 2 replies ──" in open_thread.screen())
    rows = open_thread.screen().splitlines()
    at = next(at for at, row in enumerate(rows) if "── 2 replies ──" in row)
    assert "tea?" in rows[at - 1]
    assert "bob" in rows[at + 1]


async def test_a_reply_below_the_rule_names_its_author_also_after_their_own_message(
    desktop: Desktop,
) -> None:
    await desktop.type("/thread 3", "enter")
    await tell(desktop, ROOT, reset=True)
    await desktop.until(lambda: "── no replies yet ──" in desktop.screen())
    await tell(desktop, said(4, "alice", "with milk", reply_to=3, thread=3))
    await desktop.until(lambda: "── 1 reply ──" in desktop.screen())
    rows = desktop.screen().splitlines()
    at = next(at for at, row in enumerate(rows) if "── 1 reply ──" in row)
    assert "alice" in rows[at + 1]
    assert "with milk" in rows[at + 2]
