"""Keys that arrive together, as over a slow line: each takes effect after those before it."""

from __future__ import annotations

import pytest
from textual import events

from chat.client.model.state import ThreadChanged, TimelineChanged
from chat.client.tui.terminal.key_queue import KeyQueue, Passed, Stage
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open, at_once


async def test_text_typed_after_a_message_action_is_handled_after_it(desktop: Desktop) -> None:
    at_once(desktop, "ctrl+up", "up", "r")
    await desktop.until(lambda: "Replying to carol" in desktop.screen())
    at_once(desktop, "hi")
    await desktop.until(lambda: desktop.composer.text == "hi")


@pytest.mark.feature("around.turns")
async def test_a_name_typed_after_the_switchers_key_is_searched_and_not_sent(
    desktop: Desktop,
) -> None:
    at_once(desktop, "ctrl+k", "tea", "enter", "hello", "enter")
    await desktop.until(lambda: desktop.core.asked("send"), "it was sent")
    assert desktop.core.asked("send") == [("#tea", "hello", False, None)]


async def test_text_typed_after_closing_a_screen_goes_to_the_composer(desktop: Desktop) -> None:
    at_once(desktop, "ctrl+k", "tea", "escape", "hello", "enter")
    await desktop.until(lambda: desktop.core.asked("send"), "it was sent")
    assert desktop.core.asked("send") == [("#general", "hello", False, None)]


async def test_text_typed_after_opening_a_thread_goes_to_the_thread(
    desktop: Desktop,
) -> None:
    await desktop.press("ctrl+up", "up", "t")
    await desktop.until(lambda: desktop.main.thread.has_focus_within, "the thread opens")
    at_once(desktop, "hello", "enter", "more")
    await desktop.until(lambda: desktop.core.asked("send"), "it was sent")
    assert desktop.core.asked("send") == [("#general", "hello", False, 5)]
    composer = desktop.main.thread.composer
    await desktop.until(lambda: composer.text == "more", "the text is in the thread's composer")
    assert desktop.composer.text == ""


async def test_the_app_can_exit_while_a_key_is_handled(open_desktop: Open) -> None:
    async def handle(event: events.Event) -> None:
        """Do nothing: the test is about what follows."""

    async with open_desktop(info("#general")) as desktop:
        turns = KeyQueue(desktop.app, handle)
        await turns.take(events.Key("up", None))
    await turns.passed(Passed(1, Stage.TOLD))


async def test_a_paste_with_a_selected_message_goes_to_the_composer(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    desktop.app.post_message(events.Paste("two\r\nlines"))
    await desktop.until(lambda: desktop.composer.text == "two\nlines")
    desktop.main.conversation.run_command("/thread 5")
    composer = desktop.main.thread.composer
    await desktop.press("ctrl+up")
    desktop.app.post_message(events.Paste("tea"))
    await desktop.until(lambda: composer.text == "tea")


async def test_a_thread_draft_survives_a_change_of_the_root(
    desktop: Desktop,
) -> None:
    await desktop.type("/thread 5", "enter")
    composer = desktop.main.thread.composer
    composer.insert("half a")
    whole = (said(1, "alice", "good morning"), said(5, "carol", "no", reply_to=1, thread=1))
    change = TimelineChanged("#general", whole, reset=True, complete=True)
    desktop.core.tell(ThreadChanged("#general", 5, 1, change))
    await desktop.pilot.pause()
    assert composer.text == "half a"
    await desktop.press("enter")
    assert desktop.core.asked("send") == [("#general", "half a", False, 1)]
    assert desktop.core.draft("#general/5") == ""


async def test_lines_of_a_closed_thread_do_not_enter_another(desktop: Desktop) -> None:
    await desktop.type("/thread 1", "enter")
    desktop.main.thread.composer.insert("/thread 5")
    await desktop.press("enter")
    late = TimelineChanged("#general", (said(2, "bob", "late", thread=1),), reset=True)
    desktop.core.tell(ThreadChanged("#general", 1, 1, late))
    await desktop.pilot.pause()
    assert "late" not in desktop.screen()
