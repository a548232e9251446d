"""The member list: names fit with and without the scrollbar; clicks; presence."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from chat.client.model.state import ConnectionChanged, Link, MembersChanged
from chat.client.tui.screens.picker import Picker
from chat.client.tui.widgets.members import MemberList
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Open
from tests.client.tui.pictures.picture import strips


class Home(App[None]):
    """An app with only a member list, ten lines high."""

    CSS = "MemberList { width: 20; height: 10; }"

    def compose(self) -> ComposeResult:
        yield MemberList()


async def test_long_names_show_when_one_more_member_brings_the_scrollbar() -> None:
    app = Home()
    async with app.run_test(size=(40, 12)) as pilot:
        for count in (9, 10, 9):
            members = tuple((f"{n}-" + "name" * 8, "member", "online") for n in range(count))
            app.query_one(MemberList).show(
                MembersChanged("#general", members, count), is_online=True
            )
            await pilot.pause()
            await pilot.pause()
            rows = [strip.text for strip in strips(app)][1:10]
            assert [row.split()[1][:6] for row in rows] == [f"{n}-name" for n in range(9)]


async def test_no_number_shows_before_the_members_are_known() -> None:
    app = Home()
    async with app.run_test(size=(40, 12)) as pilot:
        members = app.query_one(MemberList)
        for known, heading in (
            (MembersChanged("#general", (), 0), "Members"),
            (MembersChanged("#general", (("bob", "member", "online"),), 1), "1 member"),
        ):
            members.show(known, is_online=True)
            await pilot.pause()
            assert strips(app)[0].text.split("  ")[0].strip() == heading


@pytest.mark.parametrize("has_accounts", [True, False])
async def test_a_clicked_member_opens_a_menu_or_else_the_direct_channel(
    open_desktop: Open, has_accounts: bool
) -> None:
    async with open_desktop(info("#general"), size=(120, 30)) as desktop:
        online = ConnectionChanged(Link.ONLINE, user="me", has_accounts=has_accounts)
        rows = (("bob", "member", "online"), ("me", "member", "online"))
        desktop.core.tell(online, MembersChanged("#general", rows, 2))
        await desktop.click_on("● bob")
        if has_accounts:
            await desktop.until(lambda: isinstance(desktop.app.screen, Picker), "the menu")
            await desktop.until(lambda: "Send a direct message" in desktop.screen())
            assert "Ban from this server" not in desktop.screen()
            await desktop.press("enter")
        await desktop.until(lambda: desktop.core.asked("join"), "the direct channel opens")


async def test_presence_signs_are_hidden_without_a_connection() -> None:
    app = Home()
    async with app.run_test(size=(40, 12)) as pilot:
        members = app.query_one(MemberList)
        known = MembersChanged("#general", (("bob", "member", "online"),), 1)
        for is_online, row in ((True, "● bob"), (False, "bob"), (True, "● bob")):
            members.show(known, is_online=is_online)
            await pilot.pause()
            assert strips(app)[1].text[:20].strip() == row
