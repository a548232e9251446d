"""In-app notices: counted if equal, above the status bar, limited in number, none lost."""

from __future__ import annotations

import pytest
from textual.widgets._toast import Toast

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from tests.client.presenter.fakes import FakeCore, info, said
from tests.client.tui.conftest import Desktop, Open


def toasts(desktop: Desktop) -> list[Toast]:
    return list(desktop.app.screen.query(Toast))


@pytest.mark.parametrize("times", [2, 30])
async def test_identical_notices_are_one_with_a_count(desktop: Desktop, times: int) -> None:
    for _ in range(times):
        desktop.app.notify("No such thing.", severity="warning")
    await desktop.until(lambda: desktop.notices == [f"No such thing. (×{times})"])
    await desktop.until(lambda: [each.region.y for each in toasts(desktop)] == [22])


async def test_a_notice_of_another_severity_is_separate(desktop: Desktop) -> None:
    desktop.app.notify("Copied")
    desktop.app.notify("Copied", title="work")
    desktop.app.notify("Copied")
    await desktop.until(lambda: desktop.notices == ["Copied", "Copied (×2)"])


@pytest.mark.parametrize(("size", "most"), [((40, 10), 1), ((80, 24), 2), ((80, 36), 3)])
async def test_notices_hide_neither_the_newest_message_nor_the_composer(
    open_desktop: Open, size: tuple[int, int], most: int
) -> None:
    async with open_desktop(info("#general", head=1), size=size) as desktop:
        desktop.core.pages["#general"] = (said(1, "bob", "the newest message"),)
        desktop.core.open_channel("#general")
        await desktop.type("half a sentence")
        for number in range(most + 1):
            desktop.app.notify(f"{number} " + "is a number" * 2)
        await desktop.until(
            lambda: f"{most} is a number" in desktop.screen(), "all notices were shown"
        )
        await desktop.until(lambda: len(toasts(desktop)) == most)
        await desktop.until(lambda: toasts(desktop)[-1].region.bottom == size[1] - 1)
        await desktop.until(lambda: "half a sentence" in desktop.screen())
        assert "the newest message" in desktop.screen()
        rows = desktop.screen().splitlines()
        first = next(number for number, row in enumerate(rows) if "▌" in row)
        assert "half a sentence" in rows[first - 1]
        assert "connected" in rows[-1] or "online" in rows[-1], "the status bar shows"
        desktop.app.clear_notifications()
        await desktop.until(lambda: "half a sentence" in desktop.screen().splitlines()[-2])


async def test_a_long_notice_stays_long_enough_to_be_read() -> None:
    app = ChatApp(ClientSettings(name="me"), make_core=lambda *_: FakeCore())
    async with app.run_test(notifications=True) as pilot:
        app.notify("short")
        app.notify("long " * 60)
        await pilot.pause()
        short, long = (each.timeout for each in app._notifications)  # noqa: SLF001 - as in conftest
        assert short == app.NOTIFICATION_TIMEOUT
        assert long == 20
