"""The picker, used as the switcher."""

from __future__ import annotations

import pytest
from textual.widgets import OptionList

from chat.client.model.state import ChannelsChanged
from chat.client.presenter.view import Choice
from chat.protocol.commands import Join
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop, Open

NAMES = ("#general", "#dev", "#quiet", "#ops", "#tea", "#lost", "@alice,me")
CHANNELS = tuple(info(name, head=6) for name in NAMES)


@pytest.mark.feature("around.switcher")
class TestSwitcher:
    """Channels, people and commands in one list."""

    async def test_the_switcher_opens_a_direct_channel(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k", *"caro")
        await desktop.until(lambda: "@carol" in desktop.screen())
        await desktop.press("enter")
        await desktop.until(lambda: desktop.core.asked("join") == [(Join(channel="@carol,me"),)])

    async def test_a_command_runs_or_goes_to_the_composer(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k", *"/away", "enter")
        await desktop.until(lambda: desktop.core.asked("status") == [("away",)])
        await desktop.press("ctrl+k", *"/topi", "enter")
        await desktop.until(lambda: "has no topic" in " ".join(desktop.notices))
        await desktop.press("ctrl+k", *"/me", "enter")
        await desktop.until(lambda: desktop.composer.text == "/me ")

    async def test_a_leading_sign_limits_the_kind(self, desktop: Desktop) -> None:
        desktop.core.tell(ChannelsChanged((info("#general"), info("#mark"), info("#tea"))))
        await desktop.press("ctrl+k", *"mark")
        await desktop.until(lambda: "/mark" in desktop.screen() and "#mark" in desktop.screen())
        await desktop.press("home", "#")
        await desktop.until(lambda: "/mark" not in desktop.screen())
        assert "#mark" in desktop.screen()

    async def test_a_channel_that_is_not_listed_is_joined(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k", *"nowhere")
        await desktop.until(lambda: "#nowhere  join or create channel" in desktop.screen())
        await desktop.press("home", "@")
        await desktop.until(lambda: "No matches" in desktop.screen())
        await desktop.press("home", "delete", "#")
        await desktop.until(lambda: "#nowhere  join or create channel" in desktop.screen())
        await desktop.press("enter")
        await desktop.until(lambda: desktop.core.asked("join") == [(Join(channel="#nowhere"),)])

    async def test_unread_channels_are_listed_first(self, desktop: Desktop) -> None:
        desktop.core.tell(
            ChannelsChanged((info("#general"), info("#a"), info("#z", unread=2, mentions=1)))
        )
        desktop.core.pages["#z"] = (said(1, "bob", "hi", "#z"),)
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "@1 · 2 unread" in desktop.screen())
        await desktop.press("enter")
        await desktop.until(lambda: desktop.conversation.state.current == "#z")

    async def test_the_current_channel_can_be_found_too(self, desktop: Desktop) -> None:
        desktop.core.tell(ChannelsChanged((info("#general"), info("#gentle"))))
        await desktop.press("ctrl+k", *"general", "enter")
        await desktop.until(lambda: desktop.app.screen is desktop.main)
        assert desktop.conversation.state.current == "#general"
        await desktop.press("ctrl+k", *"gen", "enter")
        await desktop.until(lambda: desktop.conversation.state.current == "#gentle")


@pytest.mark.parametrize("command", ["/delete", "/discard", "/leave", "/disconnect"])
async def test_a_risky_command_goes_to_the_composer(desktop: Desktop, command: str) -> None:
    await desktop.press("ctrl+k", *command, "enter")
    await desktop.until(lambda: desktop.composer.text.strip() == command)
    assert {call[0] for call in desktop.core.calls}.isdisjoint({"delete", "discard", "leave"})


@pytest.mark.parametrize("size", [(40, 10), (40, 6), (80, 24)])
async def test_the_switcher_shows_what_it_found_on_every_screen(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await desktop.press("ctrl+k", *"op")
        await desktop.until(lambda: "#ops" in desktop.screen())
        await desktop.press("backspace", "backspace", *["down"] * 30)
        rows = desktop.app.screen.query_one(OptionList)
        await desktop.until(lambda: rows.highlighted == 30 and rows.scroll_y > 0)
        option = rows.highlighted_option
        assert option is not None
        assert option.id is not None
        await desktop.until(lambda: f" {option.id} " in desktop.screen(), f"{option.id} is seen")


@pytest.mark.parametrize(("width", "columns"), [(80, 80), (120, 90), (160, 100)])
async def test_the_switcher_grows_with_the_screen(
    open_desktop: Open, width: int, columns: int
) -> None:
    async with open_desktop(*CHANNELS, size=(width, 36)) as desktop:
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "#ops" in desktop.screen())
        await desktop.until(lambda: desktop.app.screen.children[-1].region.width == columns)


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_a_row_that_is_cut_shows_in_full_below_the_list(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        long = "banned until lifted · by ann · for " + "spam and " * 5 + "more"
        add = desktop.conversation.view.list_rows("Bans", lambda _: None, "")
        add([Choice("1", "mallory", long), Choice("2", "eve", "short")])
        await desktop.until(
            lambda: "and more" in " ".join(desktop.screen().split()), "the full row shows"
        )
        await desktop.press("down")
        await desktop.until(lambda: "and more" not in " ".join(desktop.screen().split()))
        assert "short" in desktop.screen()
