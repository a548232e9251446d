"""Slash commands that change the screens, or leave them."""

from __future__ import annotations

from tests.client.tui.conftest import Desktop


async def test_the_theme_changes_and_is_remembered(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/theme light")
    await desktop.until(lambda: desktop.core.prefs.get("theme") == "chat-light")
    assert not desktop.app.current_theme.dark
    desktop.main.conversation.run_command("/theme nonsense")
    await desktop.until(lambda: desktop.told)
    assert "no theme" in desktop.told[0]


async def test_quit_ends_the_program(desktop: Desktop) -> None:
    desktop.main.conversation.run_command("/quit")
    await desktop.until(lambda: not desktop.app.is_running)
