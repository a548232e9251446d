"""Pinned messages: the note, the count, and the list."""

from __future__ import annotations

import pytest

from chat.client.model.state import ChannelsChanged, TimelineChanged
from chat.client.platform.local_time import local_time
from chat.client.tui.timeline import Timeline
from chat.protocol.frames import Page
from chat.protocol.items import Item
from tests.client.presenter.fakes import NOON, info, said
from tests.client.tui.conftest import Desktop


def pinned(seq: int, text: str) -> Item:
    return Item(
        seq=seq,
        mid=f"m{seq}",
        ts=NOON,
        author="bob",
        kind="message",
        text=text,
        rev=90,
        pinned=True,
    )


async def test_a_pin_is_marked_and_counted(desktop: Desktop) -> None:
    desktop.core.tell(
        TimelineChanged("#general", upserts=(said(5, "bob", "the rules", pinned=True),)),
        ChannelsChanged((info("#general", topic="tea", pins=2, muted=True),)),
    )
    await desktop.until(lambda: "the rules (pinned)" in desktop.screen())
    header = next(line for line in desktop.screen().splitlines() if "2 pinned" in line)
    assert "#general  tea" in header
    assert header.rstrip().endswith("2 pinned · muted")


async def test_the_letter_pins_and_unpins(desktop: Desktop) -> None:
    desktop.core.tell(TimelineChanged("#general", upserts=(said(7, "bob", "rules"),)))
    await desktop.until(lambda: "rules" in desktop.screen())
    await desktop.press("ctrl+up", "p")
    await desktop.until(lambda: desktop.core.asked("pin") == [("#general", 7, False)])
    assert "Pinned for everyone. To undo, type /unpin 7." in desktop.notices
    desktop.core.tell(
        TimelineChanged("#general", upserts=(said(7, "bob", "rules", pinned=True, rev=8),))
    )
    await desktop.until(lambda: "(pinned)" in desktop.screen())
    await desktop.press("ctrl+up", "p")
    await desktop.until(lambda: desktop.core.asked("pin")[1:] == [("#general", 7, True)])


@pytest.mark.parametrize(
    "text",
    [
        "perfect",
        "deploy",
        "done",
        "cool",
        "p!",
        "just",
        "kind",
        "great",
        "really",
        "team",
        "end",
        "+1",
    ],
)
async def test_letters_typed_quickly_on_a_selected_message_are_text(
    desktop: Desktop, text: str
) -> None:
    desktop.main.query_one(Timeline).letter_pause = 60
    await desktop.press("ctrl+up")
    before = len(desktop.core.calls)
    await desktop.press(*text)
    await desktop.until(lambda: desktop.composer.text == text)
    assert {call[0] for call in desktop.core.calls[before:]} <= {"typing", "save_draft"}
    assert desktop.app.screen is desktop.main
    assert desktop.main.query_one(Timeline).cursor is None


@pytest.mark.feature("around.pins")
async def test_pinned_messages_are_listed_and_can_be_opened(desktop: Desktop) -> None:
    desktop.core.pages["#general"] = (said(3, "bob", "the rules"), said(9, "bob", "later"))
    desktop.core.open_channel("#general")
    desktop.main.conversation.run_command("/pins")
    await desktop.until(lambda: "history" in desktop.core.futures)
    items = (pinned(3, "the [rules]"), pinned(9, "the plan\nof Friday"))
    page = Page(channel="#general", epoch="e", items=items, complete=True, head=90)
    desktop.core.futures["history"].set_result(page)
    await desktop.until(lambda: "the plan of Friday" in desktop.screen())
    assert f"9. bob, {local_time(NOON):%d %b %Y}" in desktop.screen()
    await desktop.press("down", "enter")
    await desktop.until(lambda: desktop.core.asked("reach") == [("#general", 3)])


async def test_a_listed_pin_is_formatted_like_a_message(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/pins")
    await desktop.until(lambda: "history" in desktop.core.futures)
    items = (pinned(3, "> was it so?\n**No** parking, see `lot`"), pinned(9, "```\nmake all\n```"))
    page = Page(channel="#general", epoch="e", items=items, complete=True, head=90)
    desktop.core.futures["history"].set_result(page)
    await desktop.until(lambda: "No parking, see lot" in desktop.screen())
    assert "make all" in desktop.screen()
    assert not [mark for mark in ("```", "**", "> was") if mark in desktop.screen()]


async def test_pins_without_a_pinned_message_shows_a_notice(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/pins")
    await desktop.until(lambda: "history" in desktop.core.futures)
    page = Page(channel="#general", epoch="e", items=(), complete=True, head=1)
    desktop.core.futures["history"].set_result(page)
    await desktop.until(lambda: "No pinned messages here." in desktop.notices)
