"""What can be done with a message, by mouse alone: choose it, then click a word."""

from __future__ import annotations

import pytest

from chat.client.state import ChannelsChanged, Delivery, Message, TimelineChanged
from chat.client.tui.screens.picker import Picker
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import StatusBar
from chat.client.tui.widgets.message_bar import MessageBar
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop

FAILED = Message(
    "#general", None, "c1", "me", 0, text="too fast", delivery=Delivery.FAILED, reason="slow down"
)


def words(desktop: Desktop) -> str:
    return str(desktop.main.query_one(MessageBar).render()).strip()


async def click_on(desktop: Desktop, text: str) -> None:
    """Click where `text` stands on the screen."""
    await desktop.until(lambda: text in desktop.screen(), f"{text} shows")
    rows = desktop.screen().splitlines()
    y = next(at for at, row in enumerate(rows) if text in row)
    await desktop.pilot.click(offset=(rows[y].index(text), y))
    await desktop.pilot.pause()


async def test_a_click_on_a_message_and_one_on_a_word(desktop: Desktop) -> None:
    await click_on(desktop, "hello")
    await desktop.until(lambda: desktop.main.query_one(MessageBar).display)
    assert not desktop.main.query_one(StatusBar).display
    assert {"r reply", "+ react", "c copy"} <= set(words(desktop).split("  "))
    assert "e edit" not in words(desktop)  # it is somebody else's
    assert "d delete" not in words(desktop)
    await click_on(desktop, "react")
    await desktop.until(lambda: isinstance(desktop.app.screen, Picker))
    await desktop.press("escape")
    assert desktop.main.query_one(StatusBar).display


async def test_an_owner_may_delete_what_others_wrote(desktop: Desktop) -> None:
    desktop.core.tell(ChannelsChanged((info("#general", head=6, role="owner"),)))
    await click_on(desktop, "hello")
    await desktop.until(lambda: "d delete" in words(desktop).split("  "))
    assert "e edit" not in words(desktop)


async def test_one_s_own_message_can_be_edited_too(desktop: Desktop) -> None:
    await click_on(desktop, "mine")
    await desktop.until(lambda: "e edit" in words(desktop))
    await click_on(desktop, "edit")
    await desktop.until(lambda: desktop.composer.text == "mine")
    assert desktop.composer.has_focus


@pytest.mark.feature("writing.mouse")
async def test_what_was_refused_is_sent_again_or_discarded_in_place(desktop: Desktop) -> None:
    desktop.core.tell(TimelineChanged("#general", upserts=(FAILED,)))
    await click_on(desktop, "x\xa0discard")
    await desktop.until(lambda: desktop.core.asked("discard"))
    await click_on(desktop, "r\xa0retry")
    await desktop.until(lambda: desktop.core.asked("retry"))
    await click_on(desktop, "too fast")
    await desktop.until(lambda: words(desktop) == "r send again  c copy  x discard")


async def test_of_several_links_one_is_chosen(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(desktop.app, "open_url", opened.append)
    text = "either https://a.example/x or https://b.example/y, or https://a.example/x"
    desktop.core.tell(TimelineChanged("#general", upserts=(said(6, "me", text),)))
    await click_on(desktop, "either")
    await click_on(desktop, "open link")
    await desktop.until(lambda: "Open which link?" in desktop.screen())
    await desktop.press(*"b.ex", "enter")
    await desktop.until(lambda: opened)
    assert opened == ["https://b.example/y"]


async def test_the_bar_follows_the_message(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    await desktop.until(lambda: "e edit" in words(desktop))
    gone = Message("#general", 6, None, "me", 0, erased=True)
    desktop.core.tell(TimelineChanged("#general", upserts=(gone,)))
    await desktop.until(lambda: not {"e edit", "c copy"} & set(words(desktop).split("  ")))
    assert desktop.main.query_one(Timeline).cursor is not None
