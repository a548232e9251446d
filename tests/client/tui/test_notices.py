"""Notices: one for what is said again, at the top, few at a time."""

from __future__ import annotations

import pytest
from textual.widgets._toast import Toast

from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Desktop, Open


def toasts(desktop: Desktop) -> list[Toast]:
    return list(desktop.app.screen.query(Toast))


@pytest.mark.parametrize("times", [2, 30])
async def test_identical_notices_are_one_with_a_count(desktop: Desktop, times: int) -> None:
    for _ in range(times):
        desktop.app.notify("No such thing.", severity="warning")
    await desktop.until(lambda: desktop.told == [f"No such thing. (×{times})"])
    await desktop.until(lambda: [each.region.y for each in toasts(desktop)] == [1])


async def test_a_notice_of_another_kind_is_another(desktop: Desktop) -> None:
    desktop.app.notify("Copied")
    desktop.app.notify("Copied", title="work")
    desktop.app.notify("Copied")
    await desktop.until(lambda: desktop.told == ["Copied", "Copied (×2)"])


@pytest.mark.parametrize(("size", "most"), [((40, 10), 1), ((80, 24), 3)])
async def test_many_notices_leave_the_newest_messages_free(
    open_desktop: Open, size: tuple[int, int], most: int
) -> None:
    async with open_desktop(info("#general"), size=size) as desktop:
        for number in range(9):
            desktop.app.notify(f"{number} " + "is a number, and this is said about it " * 2)
        await desktop.until(lambda: "8 is a number" in desktop.screen())
        await desktop.until(lambda: len(toasts(desktop)) == most)
        await desktop.until(lambda: toasts(desktop)[0].region.y == 1)
        shown = desktop.screen().splitlines()
        assert not any("▌" in row for row in shown[size[1] // 2 + 1 :])
