"""vi keys in the composer: each command is one undo step, and the status bar shows the mode."""

from __future__ import annotations

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.tui.widgets.bars import StatusBar
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Desktop, Open

VI = ClientSettings(name="me", editing="vi")


def mode(desktop: Desktop) -> str:
    return desktop.main.query_one(StatusBar).mode


@pytest.mark.feature("writing.vi")
async def test_commands_change_the_text_and_enter_sends_it(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        assert mode(desktop) == "insert"
        await desktop.press(*"one two", "escape")
        assert mode(desktop) == "normal"
        await desktop.press("0", "c", "w")
        assert mode(desktop) == "insert"
        await desktop.press(*"three", "escape", "enter")
        assert [text for _, text, *_ in desktop.core.asked("send")] == ["three two"]
        assert mode(desktop) == "insert"  # the next message starts in insert mode


async def test_each_command_is_one_undo_step(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        desktop.composer.load("one two three")
        await desktop.press("escape", "0", "d", "w", ".", "u")
        assert desktop.composer.text == "two three"
        await desktop.press("u")
        assert desktop.composer.text == "one two three"
        await desktop.press("ctrl+r")
        assert desktop.composer.text == "two three"


async def test_a_selection_shows_and_is_cut_over_lines(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        desktop.composer.load("one\ntwo\nthree")
        await desktop.press("escape", "g", "g", "l", "v", "j")
        assert desktop.composer.cursor_location == (1, 1), (
            "the caret is on the last letter, not after it"
        )
        assert mode(desktop) == "visual"
        await desktop.press("d")
        assert desktop.composer.text == "oo\nthree"
        await desktop.press("V")
        assert desktop.composer.selected_text == "oo\n"
        await desktop.press("j", "d")
        assert desktop.composer.text == ""


async def test_a_copy_contains_the_whole_selection(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        desktop.composer.load("one two")
        await desktop.press("escape", "0", "v", "e", "ctrl+c")
        assert desktop.app.clipboard == "one"
        assert mode(desktop) == "normal"


async def test_a_letter_typed_elsewhere_is_a_command(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        desktop.composer.load("one")
        await desktop.press("escape", "0", "ctrl+up", "s")
        assert desktop.composer.text == "ne"
        assert mode(desktop) == "insert"


async def test_escape_twice_cancels_a_reply_and_keeps_the_text(open_desktop: Open) -> None:
    async with open_desktop(info("#tea"), settings=VI) as desktop:
        await desktop.press(*"precious", "escape", "escape", "2", "d", "escape")
        assert desktop.composer.text == "precious"


async def test_without_vi_escape_keeps_its_meaning(desktop: Desktop) -> None:
    await desktop.press(*"one", "escape", "x")
    assert desktop.composer.text == "onex"
    assert mode(desktop) == ""
