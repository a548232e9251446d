"""The inbox, and peek: showing messages without marking them as read."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

import pytest

from chat.client.model.state import ChannelsChanged
from chat.client.sync.inbox import Unread, Waiting
from chat.client.tui.timeline import Timeline
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop

TEA = tuple(said(n, "bob", f"cup {n}", "#tea") for n in range(1, 81))


@pytest.fixture
def waiting(desktop: Desktop) -> Desktop:
    """Return a client with unread messages in two channels."""
    core = desktop.core
    core.tell(
        ChannelsChanged(
            (
                info("#general", head=6, read=6),
                info("#tea", head=80, unread=2, read=19),
                info("@alice,me", head=4, unread=1),
            )
        )
    )
    core.pages["#tea"] = TEA
    long = "a text that is [bold]longer[/] than a row: " + "and so on, " * 12 + "to its end"
    core.unread = (
        Unread("#tea", (Waiting(TEA[19], "mention"), Waiting(TEA[20], "message")), 7),
        Unread("@alice,me", (Waiting(said(4, "alice", long, "@alice,me"), "direct"),), 0),
    )
    return desktop


@pytest.mark.feature("reading.inbox")
async def test_the_inbox_lists_all_channels_and_marks_nothing(waiting: Desktop) -> None:
    await waiting.press("alt+i")
    await waiting.until(
        lambda: waiting.screen().count("cup 20") == 2, "the message is listed and shown in full"
    )
    page = [" ".join(row.split()) for row in waiting.screen().splitlines()]
    assert any("#tea 2, and 7 earlier" in row for row in page)
    assert any(re.search(r"@ \d+ May( \d\d)? bob cup 20", row) for row in page)
    assert "to its end" not in waiting.screen()
    await waiting.press("down", "down")
    await waiting.until(lambda: "to its end" in waiting.screen(), "the full text shows")
    await waiting.press("escape")
    await waiting.until(lambda: waiting.app.screen is waiting.main)
    assert {channel for channel, _ in waiting.core.asked("mark")} <= {"#general"}


async def test_a_day_of_another_year_has_its_year(waiting: Desktop) -> None:
    old = replace(TEA[18], ts=int(datetime(2020, 5, 4, 12).timestamp() * 1000))
    waiting.core.unread = (Unread("#tea", (Waiting(old, "mention"),), 0),)
    await waiting.press("alt+i")
    await waiting.until(lambda: re.search(r"@ +4 May 20 bob +cup 19", waiting.screen()))


async def test_enter_goes_to_the_message_in_the_middle_of_its_channel(waiting: Desktop) -> None:
    await waiting.type("/inbox", "enter")
    await waiting.until(lambda: "Esc close" in waiting.screen() and "cup 20" in waiting.screen())
    await waiting.press("enter")
    timeline = waiting.main.query_one(Timeline)
    await waiting.until(lambda: timeline.cursor is not None)
    assert timeline.cursor is not None
    assert (timeline.cursor.channel, timeline.cursor.seq) == ("#tea", 20)
    assert "cup 19 " in waiting.screen()
    assert "cup 22 " in waiting.screen()


@pytest.mark.feature("reading.mark")
async def test_r_marks_one_channel_and_a_capital_a_asks_then_all(waiting: Desktop) -> None:
    await waiting.press("alt+i")
    await waiting.until(lambda: "cup 20" in waiting.screen())
    await waiting.press("r")
    await waiting.until(lambda: ("#tea", 80) in waiting.core.asked("mark"))
    await waiting.until(lambda: "cup 20" not in waiting.screen())
    await waiting.press("A")
    await waiting.until(lambda: "Mark all channels as read?" in waiting.screen())
    await waiting.answer("n")
    await waiting.press("A")
    await waiting.answer("y")
    await waiting.until(lambda: ("@alice,me", 4) in waiting.core.asked("mark"))
    await waiting.until(lambda: waiting.app.screen is waiting.main)


@pytest.mark.feature("reading.mark")
async def test_mark_all_marks_only_the_listed_channels(waiting: Desktop) -> None:
    await waiting.until(lambda: waiting.core.asked("mark"))
    waiting.core.calls.clear()
    await waiting.type("/mark all", "enter")
    await waiting.until(lambda: len(waiting.core.asked("mark")) == 2)
    assert waiting.core.asked("mark") == [("#tea", 80), ("@alice,me", 4)]


async def test_an_empty_inbox_shows_a_notice(desktop: Desktop) -> None:
    await desktop.press("alt+i")
    await desktop.until(lambda: desktop.notices == ["No unread messages."])


@pytest.mark.feature("reading.seen")
async def test_peeking_marks_nothing_until_it_stops(waiting: Desktop) -> None:
    core = waiting.core
    await waiting.type("/peek tea", "enter")
    await waiting.until(lambda: "cup 80" in waiting.screen())
    await waiting.until(lambda: waiting.main.query_one(Timeline).seen == 80)
    await waiting.pilot.pause()
    assert "peeking: messages stay unread" in waiting.screen()
    assert "#tea" not in [call[0] for call in core.asked("mark")]
    await waiting.press("alt+k")
    await waiting.until(lambda: ("#tea", 80) in core.asked("mark"))
    assert "peeking" not in waiting.screen()


async def test_peeking_ends_when_another_channel_opens(waiting: Desktop) -> None:
    await waiting.type("/peek tea", "enter")
    await waiting.until(lambda: "peeking" in waiting.screen())
    await waiting.press("alt+1")
    await waiting.until(lambda: "peeking" not in waiting.screen())
    assert "#tea" not in [call[0] for call in waiting.core.asked("mark")]
    await waiting.press("alt+2")
    await waiting.until(lambda: ("#tea", 80) in waiting.core.asked("mark"))
