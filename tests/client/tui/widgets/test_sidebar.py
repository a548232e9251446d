"""The sidebar: sections, badges, the current channel, and a list of thousands."""

from __future__ import annotations

import re

from chat.client.model.state import ChannelChanged, ChannelRemoved, ChannelsChanged
from chat.client.tui.widgets.sidebar import Sidebar
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Open


async def test_one_changed_channel_gets_its_badge_and_a_removed_one_goes(
    open_desktop: Open,
) -> None:
    async with open_desktop(
        info("#general"), info("#ops"), info("#tea"), info("@alice,me"), size=(120, 24)
    ) as desktop:
        await desktop.until(lambda: re.search(r"Direct\s", desktop.screen()))
        desktop.core.tell(ChannelChanged(info("#tea", unread=7, mentions=2)))
        await desktop.until(lambda: re.search(r"# tea +@2", desktop.screen()))
        desktop.core.tell(ChannelChanged(info("#tea", unread=7, mentions=2, muted=True)))
        await desktop.until(lambda: re.search(r"# tea +muted @2", desktop.screen()))
        desktop.core.tell(ChannelChanged(info("#tea", unread=7, muted=True)))
        await desktop.until(lambda: re.search(r"# tea +muted ", desktop.screen()))
        desktop.core.tell(ChannelChanged(info("#ops", pinned=1)))
        await desktop.until(lambda: re.search(r"Starred\s", desktop.screen()))
        desktop.core.tell(ChannelRemoved("@alice,me"))
        await desktop.until(lambda: "Direct" not in desktop.screen())


async def test_the_first_nine_channels_show_their_digit(
    open_desktop: Open,
) -> None:
    listed = [info("#general", pinned=1), *(info(f"#c{n}") for n in range(7)), info("@a,me")]
    async with open_desktop(*listed, info("@b,me"), size=(120, 30)) as desktop:
        await desktop.until(lambda: "9 @ a" in desktop.screen())
        assert "1 # general" in desktop.screen()
        assert "2 # c0" in desktop.screen()
        assert re.search(r"^  @ b", desktop.screen(), re.MULTILINE)
        await desktop.press("alt+9")
        await desktop.until(lambda: desktop.conversation.state.current == "@a,me")
        await desktop.press("alt+2")
        await desktop.until(lambda: desktop.conversation.state.current == "#c0")


async def test_the_current_channel_shows_no_count_while_its_newest_message_is_on_the_screen(
    open_desktop: Open,
) -> None:
    async with open_desktop(info("#general"), info("#tea"), size=(120, 24)) as desktop:
        desktop.core.tell(ChannelChanged(info("#general", unread=8)))
        desktop.core.tell(ChannelChanged(info("#tea", unread=9)))
        await desktop.until(lambda: re.search(r"# tea +9", desktop.screen()))
        assert not re.search(r"# general +8", desktop.screen())


async def test_the_list_scrolls_to_the_current_channel_among_thousands(
    open_desktop: Open,
) -> None:
    many = [info(f"#c{number:04}") for number in range(3_000)]
    async with open_desktop(info("#general"), size=(120, 24)) as desktop:
        desktop.core.tell(ChannelsChanged((info("#general"), *many)))
        await desktop.until(lambda: "# c0003" in desktop.screen())
        desktop.conversation.open_channel("#c2000")
        await desktop.until(lambda: "# c2000" in desktop.screen())
        desktop.core.tell(ChannelChanged(info("#c1999", unread=4)))
        await desktop.until(lambda: re.search(r"# c1999 +4", desktop.screen()))
        shown = [row[:24] for row in desktop.screen().splitlines()]
        at = next(y for y, row in enumerate(shown) if "# c1999" in row)
        sidebar = desktop.main.query_one(Sidebar)
        await desktop.pilot.click(Sidebar, offset=(3, at - sidebar.region.y))
        await desktop.until(lambda: desktop.conversation.state.current == "#c1999")


async def test_the_current_channel_stays_in_view_where_it_moves_in_the_list(
    open_desktop: Open,
) -> None:
    many = [info(f"#c{number:02}") for number in range(60)]
    async with open_desktop(info("#general"), size=(120, 24)) as desktop:
        desktop.core.tell(ChannelsChanged((info("#general"), *many)))
        desktop.conversation.open_channel("#c50")
        await desktop.until(lambda: "# c50" in desktop.screen())
        assert "Channels" not in desktop.screen()
        desktop.core.tell(ChannelChanged(info("#c50", pinned=1)))
        await desktop.until(lambda: re.search(r"Starred\s.*\n.*# c50", desktop.screen()))
