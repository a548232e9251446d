"""The question before an act of moderation: its reason and duration, and keys pressed too early."""

from __future__ import annotations

from typing import cast

from chat.client.tui.screens.moderation import AskModeration, Durations
from chat.protocol.commands import Ban
from tests.client.tui.conftest import Open
from tests.client.tui.test_rooms import TEA, answer_question, asked, begin


async def test_the_question_changes_reason_and_duration(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/ban mallory 1d spam")
        await answer_question(desktop, *"bot", "down", "down", "down", "enter")
        (ban,) = cast("list[Ban]", asked(desktop, Ban))
        assert (ban.channel, ban.name, ban.reason, ban.until) == (
            "#tea",
            "mallory",
            "spambot",
            None,
        )


async def test_the_first_duration_follows_the_last_one(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/ban mallory")
        await desktop.until(lambda: "no end" in desktop.screen(), "the dialog opens")
        durations = desktop.app.screen.query_one(Durations)
        for key, value in (("down", "10m"), ("up", ""), ("up", "30d")):
            await desktop.press(key)
            assert durations.value == value


async def test_an_enter_pressed_while_typing_bans_nobody(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/ban mallory")
        await desktop.until(
            lambda: isinstance(desktop.app.screen, AskModeration), "the dialog opens"
        )
        await desktop.press("enter")
        assert isinstance(desktop.app.screen, AskModeration)
        await answer_question(desktop, "escape")
        assert not asked(desktop, Ban)


async def test_the_chosen_duration_shows_in_a_narrow_terminal(open_desktop: Open) -> None:
    async with open_desktop(TEA, size=(40, 16)) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/ban mallory 10m")
        await desktop.until(lambda: " 10m " in desktop.screen(), "the dialog opens")
        assert "no end" not in desktop.screen()
        await desktop.press(*["down"] * 5)
        await desktop.until(lambda: "no end" in desktop.screen(), "the last one shows")
        assert " 10m " not in desktop.screen()


async def test_a_click_chooses_the_duration_and_the_answer(open_desktop: Open) -> None:
    async with open_desktop(TEA) as desktop:
        await begin(desktop)
        desktop.conversation.run_command("/ban mallory 12h")
        await desktop.until(lambda: "no end" in desktop.screen(), "the dialog opens")
        durations = desktop.app.screen.query_one(Durations)
        assert durations.value == "12h"
        await desktop.click_on("no end")
        assert durations.value == ""
        await desktop.click_on("Enter Ban")
        assert len(asked(desktop, Ban)) == 1
