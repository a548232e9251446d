"""The member list: each name fits, with a scrollbar and without."""

from __future__ import annotations

from textual.app import App, ComposeResult

from chat.client.model.state import MembersChanged
from chat.client.tui.widgets.members import MemberList
from tests.client.tui.pictures.picture import strips


class Home(App[None]):
    """A member list alone, ten lines high."""

    CSS = "MemberList { width: 20; height: 10; }"

    def compose(self) -> ComposeResult:
        yield MemberList()


async def test_long_names_show_when_one_more_member_brings_the_scrollbar() -> None:
    app = Home()
    async with app.run_test(size=(40, 12)) as pilot:
        for count in (9, 10, 9):
            members = tuple((f"{n}-" + "name" * 8, "member", "online") for n in range(count))
            app.query_one(MemberList).show(MembersChanged("#general", members, count))
            await pilot.pause()
            await pilot.pause()
            rows = [strip.text for strip in strips(app)][1:10]
            assert [row.split()[1][:6] for row in rows] == [f"{n}-name" for n in range(9)]
