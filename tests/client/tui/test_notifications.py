"""Do not disturb in the status bar, and notifications without the terminal's focus."""

from __future__ import annotations

import pytest
from textual.events import AppBlur

from chat.client.model.state import NotificationDue, TimelineChanged
from tests.client.presenter.fakes import said
from tests.client.tui.conftest import Desktop


@pytest.fixture
def written(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what the app writes to the terminal from now on."""
    found: list[str] = []
    driver = desktop.app._driver  # noqa: SLF001 - Textual's own without a terminal keeps nothing
    monkeypatch.setattr(driver, "write", found.append)
    return found


async def test_the_status_bar_shows_do_not_disturb(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/dnd")
    await desktop.until(lambda: "do not disturb" in desktop.screen().splitlines()[-1])
    desktop.main.conversation.run_command("/dnd")
    await desktop.until(lambda: "do not disturb" not in desktop.screen())


async def test_a_message_in_a_terminal_without_the_focus_notifies(
    desktop: Desktop, written: list[str]
) -> None:
    here = NotificationDue("#general", "bob", "hi @me")
    desktop.core.tell(here)
    await desktop.pilot.pause()
    assert "\x07" not in written
    desktop.app.post_message(AppBlur())
    await desktop.until(lambda: not desktop.conversation.reading.is_watched)
    desktop.core.tell(here)
    await desktop.until(lambda: "\x07" in written)


async def test_a_message_below_the_window_notifies(desktop: Desktop, written: list[str]) -> None:
    page = tuple(said(seq, "bob", f"line {seq}") for seq in range(1, 80))
    desktop.core.tell(TimelineChanged("#general", upserts=page, reset=True, complete=True))
    await desktop.until(lambda: "line 79" in desktop.screen())
    await desktop.press("pageup")
    await desktop.until(lambda: "below" in desktop.screen())
    desktop.core.tell(NotificationDue("#general", "bob", "hi @me"))
    await desktop.until(lambda: "\x07" in written)


async def test_a_message_that_shows_is_not_notified(desktop: Desktop, written: list[str]) -> None:
    hello = said(7, "bob", "hi @me", mentions=("me",))
    desktop.core.tell(
        TimelineChanged("#general", upserts=(hello,)), NotificationDue("#general", "bob", "")
    )
    await desktop.until(lambda: "hi @me" in desktop.screen())
    assert "\x07" not in written
