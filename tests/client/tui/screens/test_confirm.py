"""The confirmation dialog: typed letters do not answer it, and the default is No."""

from __future__ import annotations

import pytest
from rich.style import Style
from textual import events

from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.messages import ActionRequested
from tests.client.presenter.fakes import said
from tests.client.tui.conftest import Desktop
from tests.client.tui.pictures.picture import strips


async def ask(desktop: Desktop) -> Confirm:
    message = said(6, "me", "mine")
    desktop.main.query_one(Timeline).post_message(ActionRequested("delete", message))
    await desktop.until(lambda: isinstance(desktop.app.screen, Confirm))
    assert isinstance(desktop.app.screen, Confirm)
    return desktop.app.screen


async def is_answered(desktop: Desktop, *, deleted: bool) -> None:
    await desktop.until(lambda: desktop.app.screen is desktop.main)
    assert desktop.core.asked("delete") == ([("#general", 6)] if deleted else [])


async def test_keys_typed_quickly_do_not_answer(desktop: Desktop) -> None:
    await desktop.press("ctrl+up")
    first = events.Key("d", "d")
    at = first.time
    await press_at(desktop, first, at)
    await desktop.until(lambda: isinstance(desktop.app.screen, Confirm), "the dialog opens")
    question = desktop.app.screen
    for name in (*"eploy, enter", "enter", *"yyy"):
        at += 0.5
        await press_at(desktop, events.Key(name, name if len(name) == 1 else None), at)
        assert desktop.app.screen is question
    assert desktop.core.asked("delete") == []
    after_a_pause = events.Key("y", "y")
    await press_at(desktop, after_a_pause, max(at, after_a_pause.time) + 1.0)
    await is_answered(desktop, deleted=True)


async def press_at(desktop: Desktop, key: events.Key, at: float) -> None:
    """Press a key with the given time, however long the machine takes."""
    key.time = at
    desktop.app.post_message(key)
    await desktop.pilot.pause()


async def test_keys_pressed_before_the_dialog_do_not_answer(desktop: Desktop) -> None:
    early = events.Key("y", "y")
    question = await ask(desktop)
    await desktop.until(lambda: question.is_ready)
    desktop.app.post_message(early)
    await desktop.pilot.pause()
    assert desktop.app.screen is question
    await desktop.press("escape")
    await is_answered(desktop, deleted=False)


async def test_enter_answers_no_by_default(desktop: Desktop) -> None:
    await ask(desktop)
    await desktop.answer("enter")
    await is_answered(desktop, deleted=False)


async def test_yes_can_be_chosen(desktop: Desktop) -> None:
    question = await ask(desktop)
    await desktop.answer("right")
    await desktop.until(lambda: question.is_yes_chosen)
    await desktop.answer("enter")
    await is_answered(desktop, deleted=True)


@pytest.mark.parametrize("name", ["tab", "right"])
async def test_enter_directly_after_an_arrow_key_answers(desktop: Desktop, name: str) -> None:
    question = await ask(desktop)
    move = events.Key(name, None)
    await press_at(desktop, move, move.time + 0.2)
    await desktop.until(lambda: question.is_yes_chosen)
    await press_at(desktop, events.Key("enter", None), move.time + 0.1)
    await is_answered(desktop, deleted=True)


async def test_an_arrow_key_within_typed_text_does_not_answer(desktop: Desktop) -> None:
    question = await ask(desktop)
    start = events.Key("x", "x").time
    for at, name in enumerate(("x", "right", "enter")):
        await press_at(desktop, events.Key(name, None), start + at * 0.3)
    assert desktop.app.screen is question
    assert not question.is_yes_chosen


async def test_the_chosen_answer_is_reversed_and_answers_show_their_keys(
    desktop: Desktop,
) -> None:
    question = await ask(desktop)
    await desktop.until(lambda: "n No" in desktop.screen() and "y Yes" in desktop.screen())
    for theme in desktop.app.available_themes:
        desktop.app.theme = theme
        await desktop.pilot.pause()
        no, yes = question.query_one("#no"), question.query_one("#yes")
        assert no.styles.text_style.reverse
        assert not yes.styles.text_style.reverse


async def test_the_answers_can_be_clicked(desktop: Desktop) -> None:
    await ask(desktop)
    await desktop.click_on("No ")
    await is_answered(desktop, deleted=False)
    await ask(desktop)
    await desktop.click_on("Yes")
    await is_answered(desktop, deleted=True)


async def test_the_chosen_answer_is_highlighted_as_a_whole(desktop: Desktop) -> None:
    await ask(desktop)

    def look(words: str) -> list[Style | None]:
        shown = (segment for strip in strips(desktop.app) for segment in strip)
        return [style for text, style, _ in shown if text == words]

    await desktop.until(lambda: look("  n No  ") and look("  y Yes  "))
    assert look("  n No  ") != look("  y Yes  ")
