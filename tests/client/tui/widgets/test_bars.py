"""The status bar's activity without the sidebar, and the message bar."""

from __future__ import annotations

import re

import pytest

from chat.client.model.state import ChannelsChanged, Delivery, Message, TimelineChanged
from chat.client.tui.screens.picker import Picker
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import MessageBar, StatusBar
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open

BUSY = (
    info("#general", head=6, unread=3),
    info("#dev", unread=12),
    info("#quiet"),
    info("#ops", unread=4, mentions=2),
    info("#tea", has_draft=True),
    info("#lost", failed=1),
    info("@alice,me", unread=1),
)


def last_lines(desktop: Desktop) -> list[str]:
    return [line.rstrip() for line in desktop.screen().splitlines()]


@pytest.mark.feature("reading.activity")
async def test_without_the_sidebar_the_status_bar_shows_activity(
    open_desktop: Open,
) -> None:
    async with open_desktop(*BUSY, size=(100, 20)) as desktop:
        await desktop.press("f2")
        row = "   #ops 2 mentions   @alice 1 new   #dev 12 new   and 2 more   Alt+A next"
        await desktop.until(lambda: last_lines(desktop)[-1].endswith(row))
        assert last_lines(desktop)[-1].startswith(" ● online  ·  me ")
        await desktop.press("f2")
        await desktop.until(lambda: "F1 help" in last_lines(desktop)[-1])
        await desktop.until(lambda: re.search(r"# lost +✗ ", desktop.screen()))


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (
            110,
            "● online · me #ops 2 mentions @alice 1 new #dev 12 new #lost 1 not sent #tea draft"
            " Alt+A next",
        ),
        (80, "● online · me #ops 2 mentions @alice 1 new and 3 more Alt+A next"),
        (62, "● online · me #ops 2 mentions and 4 more Alt+A next"),
        (50, "● #ops 2 mentions @alice 1 new and 3 more"),
        (40, "● online #ops 2 mentions and 4 more"),
    ],
)
async def test_parts_that_do_not_fit_are_counted(open_desktop: Open, width: int, row: str) -> None:
    async with open_desktop(*BUSY, size=(width, 20)) as desktop:
        if width >= 100:
            await desktop.press("f2")
        await desktop.until(lambda: " ".join(last_lines(desktop)[-1].split()) == row)


async def test_without_unread_messages_the_status_bar_hides_the_key(open_desktop: Open) -> None:
    async with open_desktop(info("#general", unread=3), info("#tea", has_draft=True)) as desktop:
        await desktop.until(lambda: last_lines(desktop)[-1].endswith("  #tea draft"))


async def test_without_activity_the_status_bar_shows_keys(open_desktop: Open) -> None:
    async with open_desktop(info("#general", head=6)) as desktop:
        await desktop.until(lambda: "F1 help" in last_lines(desktop)[-1])
        assert last_lines(desktop)[-2] == " › Message #general"


async def test_a_click_on_activity_goes_there(open_desktop: Open) -> None:
    async with open_desktop(*BUSY, size=(90, 20)) as desktop:
        await desktop.click_on("@alice 1 new")
        await desktop.until(lambda: desktop.conversation.state.current == "@alice,me")


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
async def test_the_message_bar_shows_the_first_actions_at_every_width(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(info("#general"), size=size) as desktop:
        await desktop.press("/")
        await desktop.until(lambda: "/join CHANNEL" in desktop.screen())
        await desktop.press(*["down"] * 12)
        await desktop.until(lambda: "/join CHANNEL" not in desktop.screen())
        await desktop.press(*["up"] * 12)
        await desktop.until(lambda: "/join CHANNEL" in desktop.screen())


FAILED = Message(
    "#general", None, "c1", "me", 0, text="too fast", delivery=Delivery.FAILED, reason="slow down"
)


def words(desktop: Desktop) -> str:
    return str(desktop.main.query_one(MessageBar).render()).strip()


async def test_a_click_on_a_message_and_a_click_on_an_action(desktop: Desktop) -> None:
    await desktop.click_on("hello")
    await desktop.until(lambda: desktop.main.query_one(MessageBar).display)
    assert not desktop.main.query_one(StatusBar).display
    assert {"reply", "react", "copy"} <= set(words(desktop).split("  "))
    assert "edit" not in words(desktop)  # its author is another user
    assert "delete" not in words(desktop)
    await desktop.click_on("react")
    await desktop.until(lambda: isinstance(desktop.app.screen, Picker))
    await desktop.press("escape")
    assert desktop.main.query_one(StatusBar).display


async def test_an_owner_may_delete_messages_of_others(desktop: Desktop) -> None:
    desktop.core.tell(ChannelsChanged((info("#general", head=6, role="owner"),)))
    await desktop.click_on("hello")
    await desktop.until(lambda: "delete" in words(desktop).split("  "))
    assert "edit" not in words(desktop)


async def test_deleting_the_message_of_another_author_is_refused_at_once(desktop: Desktop) -> None:
    timeline = desktop.main.query_one(Timeline)

    async def delete_hello() -> None:
        await desktop.press("ctrl+up")
        await desktop.until(lambda: timeline.cursor is not None)
        while timeline.cursor is not None and timeline.cursor.text != "hello":
            await desktop.press("up")
        await desktop.press("d")

    await delete_hello()
    refusal = "Only the author or a moderator can delete a message."
    await desktop.until(lambda: refusal in desktop.notices)
    assert desktop.app.screen is desktop.main
    assert not desktop.core.asked("delete")
    desktop.core.tell(ChannelsChanged((info("#general", head=6, role="owner"),)))
    await desktop.until(
        lambda: (info := desktop.conversation.state.info) is not None and info.role == "owner"
    )
    await delete_hello()
    await desktop.answer("y")
    await desktop.until(lambda: desktop.core.asked("delete"))


async def test_an_own_message_can_also_be_edited(desktop: Desktop) -> None:
    await desktop.click_on("mine")
    await desktop.until(lambda: "edit" in words(desktop))
    await desktop.click_on("edit")
    await desktop.until(lambda: desktop.composer.text == "mine")
    assert desktop.composer.has_focus


@pytest.mark.feature("writing.mouse")
async def test_a_failed_message_is_retried_or_discarded_in_place(desktop: Desktop) -> None:
    desktop.core.tell(TimelineChanged("#general", upserts=(FAILED,)))
    await desktop.click_on("x\xa0discard")
    await desktop.answer("y")
    await desktop.until(lambda: desktop.core.asked("discard"))
    await desktop.click_on("r\xa0resend")
    await desktop.until(lambda: desktop.core.asked("retry"))
    await desktop.click_on("too fast")
    await desktop.until(lambda: words(desktop).endswith("  copy  discard  Ctrl+↑ select  Esc back"))


async def test_several_links_open_a_picker(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(desktop.app, "open_url", opened.append)
    text = "either https://a.example/x or https://b.example/y, or https://a.example/x"
    desktop.core.tell(TimelineChanged("#general", upserts=(said(6, "me", text),)))
    await desktop.click_on("either")
    await desktop.click_on("open link")
    await desktop.until(lambda: "Open a link" in desktop.screen())
    await desktop.press(*"b.ex", "enter")
    await desktop.until(lambda: opened)
    assert opened == ["https://b.example/y"]


async def test_the_bar_follows_the_message(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    await desktop.until(lambda: "e edit" in words(desktop))
    gone = Message("#general", 6, None, "me", 0, deleted=True)
    desktop.core.tell(TimelineChanged("#general", upserts=(gone,)))
    await desktop.until(lambda: not {"e edit", "c copy"} & set(words(desktop).split("  ")))
    assert desktop.main.query_one(Timeline).cursor is not None


@pytest.mark.parametrize("text", ["deploy", "please", "thanks", "x", "rocket"])
async def test_letters_after_a_click_on_a_message_are_typed(desktop: Desktop, text: str) -> None:
    await desktop.click_on("mine")
    await desktop.until(lambda: "delete" in words(desktop))
    before = len(desktop.core.calls)
    await desktop.press(*text)
    await desktop.until(lambda: desktop.composer.text == text)
    assert {call[0] for call in desktop.core.calls[before:]} <= {"typing", "save_draft"}
    assert desktop.app.screen is desktop.main
    assert desktop.main.query_one(Timeline).cursor is None


async def test_a_clicked_message_shows_no_keys(
    desktop: Desktop,
) -> None:
    await desktop.click_on("mine")
    await desktop.until(lambda: "Ctrl+↑ select  Esc" in words(desktop))
    await desktop.until(lambda: "▏" in desktop.screen() and "▌" not in desktop.screen())
    await desktop.press("ctrl+up")
    await desktop.until(lambda: "e edit" in words(desktop) and "select" not in words(desktop))
    await desktop.until(lambda: "▌" in desktop.screen() and "▏" not in desktop.screen())


async def test_a_click_ends_the_choice_by_keys(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    await desktop.until(lambda: "d delete" in words(desktop))
    await desktop.click_on("hello")
    await desktop.until(lambda: "r reply" not in words(desktop))
    await desktop.press(*"dear")
    await desktop.until(lambda: desktop.composer.text == "dear")


async def test_the_selection_key_focuses_the_clicked_message(desktop: Desktop) -> None:
    await desktop.click_on("hello")
    await desktop.press("ctrl+up")
    await desktop.until(lambda: "r reply" in words(desktop))
    await desktop.press("r")
    await desktop.until(lambda: "Replying to bob: hello" in desktop.screen())


async def test_escape_deselects_the_clicked_message_and_keeps_the_text(desktop: Desktop) -> None:
    await desktop.type("half a thought")
    await desktop.click_on("hello")
    await desktop.press("escape")
    await desktop.until(lambda: desktop.main.query_one(StatusBar).display)
    assert desktop.composer.text == "half a thought"


async def test_the_number_of_the_chosen_message_is_shown(desktop: Desktop) -> None:
    await desktop.click_on("hello")
    await desktop.until(lambda: re.match(r"No\. 2 · \d\d:\d\d  ", words(desktop)))


@pytest.mark.parametrize(
    ("width", "bar"),
    [
        (80, "No. 6 · AT  r reply  t thread  e edit  d delete  + react  …  Esc back"),
        (60, "No. 6 · AT  r reply  t thread  e edit  …  Esc back"),
        (40, "No. 6 · AT  r reply  …  Esc back"),
        (26, "6 AT  r reply  …  Esc"),
        (20, "6 AT  …  Esc"),
    ],
)
async def test_a_narrow_bar_leaves_out_whole_actions_and_keeps_escape(
    open_desktop: Open, width: int, bar: str
) -> None:
    async with open_desktop(info("#general", head=6), size=(width, 24)) as desktop:
        desktop.core.pages["#general"] = (said(6, "me", "mine"),)
        desktop.core.open_channel("#general")
        await desktop.until(lambda: "mine" in desktop.screen())
        await desktop.press("ctrl+up")
        await desktop.until(lambda: "reply" in words(desktop) or width == 20)
        assert re.sub(r"\d\d:\d\d", "AT", words(desktop)) == bar


async def test_escape_in_the_bar_can_be_clicked(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    await desktop.click_on("Esc")
    await desktop.until(lambda: desktop.main.query_one(StatusBar).display)
    assert desktop.composer.has_focus
