"""Starred and muted channels in the sidebar, and the keys that move them."""

from __future__ import annotations

from chat.client.model.preferences import PreferenceChange
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Open


async def test_starred_channels_come_first_and_muted_ones_show_no_count(open_desktop: Open) -> None:
    channels = (
        info("@alice,me", pinned=1),
        info("#general"),
        info("#loud", unread=9, muted=True),
        info("#ops", unread=4, mentions=1, muted=True),
        info("@bob,me"),
    )
    async with open_desktop(*channels, size=(100, 24)) as desktop:
        rows = [line[:24].split() for line in desktop.screen().splitlines()]
        assert [row for row in rows if row][:8] == [
            ["Starred"],
            ["1", "@", "alice"],
            ["Channels"],
            ["2", "#", "general"],
            ["3", "#", "loud", "muted"],
            ["4", "#", "ops", "muted", "@1"],
            ["Direct"],
            ["5", "@", "bob"],
        ]


async def test_keys_move_a_starred_channel(open_desktop: Open) -> None:
    async with open_desktop(info("#ops", pinned=1), info("#general", pinned=2)) as desktop:
        desktop.conversation.open_channel("#general")
        await desktop.press("alt+shift+up")
        wanted = [("#general", PreferenceChange(pinned=1)), ("#ops", PreferenceChange(pinned=2))]
        await desktop.until(lambda: desktop.core.asked("prefer") == wanted)
