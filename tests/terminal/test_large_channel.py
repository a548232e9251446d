"""A channel with 50,000 messages opens like a small one, and scrolls without visible delay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest
from textual.pilot import Pilot

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from chat.client.tui.timeline import Timeline
from chat.protocol.commands import Join
from tests.serving import PATIENCE, ChatServer
from tests.store.opened import OpenStore, message, sqlite_url

MESSAGES = 50_000


def fill(folder: Path) -> None:
    """Write `#small` and `#large` into a new database, as the server would."""
    with OpenStore(sqlite_url(folder), clock_ms=lambda: time.time_ns() // 1_000_000) as store:
        writer = store.sign_in("writer")
        for channel, count in (("#small", 50), ("#large", MESSAGES)):
            store.join(writer, channel)
            outcomes = store.submit(
                [
                    message(
                        writer,
                        f"{channel} message {number} " + "with some words " * (number % 9),
                        channel,
                    )
                    for number in range(count)
                ]
            )
            assert len(outcomes()) == count


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[tuple[ChatApp, Pilot[None]]]:
    """Run a client that is a member of both channels."""
    await asyncio.to_thread(fill, folder / "data")
    with ChatServer(folder / "data") as server:
        settings = ClientSettings(name="alice", url=server.url, data=folder / "client")
        app = ChatApp(settings)
        try:
            async with app.run_test(size=(120, 40)) as pilot:
                await until(pilot, lambda: "online" in app.export_screenshot())
                for channel in ("#small", "#large"):
                    await asyncio.wrap_future(app.cores.first.ask(Join(channel=channel)))
                yield app, pilot
        finally:
            app.cores.first.stop(PATIENCE)


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause(0.05)


async def seconds_to_open(app: ChatApp, pilot: Pilot[None], channel: str) -> float:
    """Return the processor seconds until the channel's newest message is on the screen."""
    began = time.process_time()
    app.screen_stack[0].conversation.open_channel(channel)  # type: ignore[attr-defined]
    await pilot.pause()
    taken = time.process_time() - began
    count = MESSAGES if channel == "#large" else 50
    newest = f"message&#160;{count - 1}&#160;"
    await until(pilot, lambda: newest in app.export_screenshot())
    return taken


@pytest.mark.feature("around.large")
async def test_a_large_channel_opens_like_a_small_one_and_scrolls(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with client(tmp_path) as (app, pilot):
        taken: dict[str, list[float]] = {"#small": [], "#large": []}
        for _ in range(5):
            for channel, times in taken.items():
                times.append(await seconds_to_open(app, pilot, channel))
        small, large = median(taken["#small"]), median(taken["#large"])
        assert large < 2 * small + 0.05, taken

        by_page = {channel: await seconds_a_page(app, pilot, channel) for channel in taken}
        assert by_page["#large"] < 2 * by_page["#small"] + 0.05, by_page


async def seconds_a_page(app: ChatApp, pilot: Pilot[None], channel: str) -> float:
    """Return the processor seconds of scrolling by a page, loading included."""
    await seconds_to_open(app, pilot, channel)
    timeline = app.screen.query_one(Timeline)
    timeline.focus()
    times: list[float] = []
    for turn in range(24):
        began = time.process_time()
        timeline.action_page(-1 if turn % 6 < 4 else 1)
        await pilot.pause()
        times.append(time.process_time() - began)
    return median(times)
