"""Tiny terminals: every screen opens, and survives the resize."""

from __future__ import annotations

import pytest
from textual.containers import Vertical

from tests.client.tui.conftest import Desktop


@pytest.mark.parametrize(
    "keys",
    [
        ("f1",),
        ("ctrl+k",),
        ("alt+i",),
        ("alt+s",),
        ("ctrl+up", "t"),
        ("ctrl+up", "+"),
        ("ctrl+up", "d"),
    ],
    ids=["help", "switcher", "inbox", "search", "thread", "reactions", "deletion"],
)
async def test_every_screen_opens_in_a_tiny_terminal(
    desktop: Desktop, keys: tuple[str, ...]
) -> None:
    for size in ((1, 1), (12, 4), (30, 2)):
        await desktop.press(*keys)
        await desktop.pilot.resize_terminal(*size)
        await desktop.press("escape", "escape", *keys, "escape", "escape")
    await desktop.pilot.resize_terminal(80, 24)
    desktop.composer.load("")
    desktop.composer.focus()
    await desktop.type("still here")
    assert desktop.composer.text == "still here"


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("keys", [("f1",), ("ctrl+k",), ("alt+s",), ("ctrl+up", "d")], ids=str)
async def test_a_dialog_fills_a_narrow_terminal(
    desktop: Desktop, keys: tuple[str, ...], width: int
) -> None:
    await desktop.pilot.resize_terminal(width, 30)
    await desktop.press(*keys)
    await desktop.until(lambda: desktop.app.screen is not desktop.main)
    dialog = desktop.app.screen.query_one(Vertical)
    await desktop.until(lambda: (dialog.region.x, dialog.region.width) == (0, width))
