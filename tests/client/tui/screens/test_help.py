"""The help: essential keys first, a filter, and action names behind a toggle."""

from __future__ import annotations

import re

import pytest
from textual.widgets import Static

from chat.client.tui.screens.help import HelpScreen
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Desktop, Open


async def opened(desktop: Desktop) -> None:
    await desktop.press("f1")
    await desktop.until(lambda: "Essential keys" in desktop.screen())


@pytest.mark.feature("around.keys")
async def test_help_begins_with_ten_essential_keys(desktop: Desktop) -> None:
    await opened(desktop)
    essential = desktop.screen().partition("Essential keys")[2].partition("Anywhere")[0]
    assert len([row for row in essential.splitlines() if re.search("[a-z]{3}", row)]) == 10
    for key in ("Enter", "Ctrl+K", "Alt+1 … Alt+9", "Alt+A", "F1", "Ctrl+Q"):
        assert key in essential


@pytest.mark.parametrize("width", [80, 86, 100, 101])
async def test_descriptions_wrap_in_their_column(open_desktop: Open, width: int) -> None:
    async with open_desktop(info("#general"), size=(width, 24)) as desktop:
        await opened(desktop)
        await desktop.press("n")
        page = desktop.app.screen.query_one("#page", Static)

        def lines() -> int:
            return str(page.content).count("\n") + 1

        await desktop.until(lambda: page.size.height >= lines(), "the page is laid out")
        assert page.size.height == lines()


@pytest.mark.feature("around.keys")
async def test_slash_filters_the_help(desktop: Desktop) -> None:
    await opened(desktop)
    await desktop.press("slash", *"mention")
    await desktop.until(lambda: "Essential keys" not in desktop.screen())
    page = desktop.screen()
    assert "next mention" in page
    assert "previous mention" in page
    assert "/mute [CHANNEL|@NAME]" in page
    assert "next channel" not in page
    await desktop.press(*"xyz")
    await desktop.until(lambda: "No matches" in desktop.screen())
    await desktop.press("escape")
    await desktop.until(lambda: "Essential keys" in desktop.screen())
    await desktop.press("escape")
    await desktop.until(lambda: desktop.app.screen is desktop.main)


@pytest.mark.parametrize(
    ("word", "command"), [("private", "/msg"), ("nick", "/name"), ("highlight", "/notify")]
)
async def test_the_filter_finds_commands_by_other_words(
    desktop: Desktop, word: str, command: str
) -> None:
    await opened(desktop)
    await desktop.press("slash", *word)
    await desktop.until(lambda: "Essential keys" not in desktop.screen())
    assert command in desktop.screen()


async def test_the_filter_explains_numbers_and_lists_the_switcher_once(desktop: Desktop) -> None:
    await opened(desktop)
    await desktop.press("slash", *"number")
    await desktop.until(lambda: "the number after “No.”" in desktop.screen())
    await desktop.press(*(["backspace"] * 6), *"go to a channel or person")
    await desktop.until(lambda: "Ctrl+K, Ctrl+P" in desktop.screen())
    assert desktop.screen().count("go to a channel or person, or") == 1


async def test_letters_typed_in_the_filter_are_not_shortcuts(desktop: Desktop) -> None:
    await opened(desktop)
    await desktop.press("slash", *"qn/")
    await desktop.until(lambda: "No matches" in desktop.screen())
    assert isinstance(desktop.app.screen, HelpScreen)


async def test_the_last_line_shows_the_keys_for_the_focus(desktop: Desktop) -> None:
    await opened(desktop)
    await desktop.until(lambda: "n action names   Esc close " in desktop.screen())
    await desktop.press("slash")
    await desktop.until(lambda: "Enter page   Esc close filter" in desktop.screen())
    assert "n show" not in desktop.screen()
    await desktop.press("enter")
    await desktop.until(lambda: "n action names   Esc close filter" in desktop.screen())
    await desktop.press("escape")
    await desktop.until(lambda: "n action names   Esc close " in desktop.screen())


async def test_action_names_are_shown_once_they_are_asked_for(open_desktop: Open) -> None:
    async with open_desktop(info("#general"), size=(100, 40)) as desktop:
        await opened(desktop)
        assert "composer.send" not in desktop.screen()
        assert "n action names" in desktop.screen()
        await desktop.press("n")
        await desktop.until(lambda: "composer.send" in desktop.screen())
        await desktop.press("end")
        await desktop.until(lambda: "for [keys] in client.toml" in desktop.screen())
        await desktop.press("n")
        await desktop.until(lambda: "for [keys] in client.toml" not in desktop.screen())
