"""The client's screens, driven by Textual's pilot, with a core that the test controls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest
from rich.cells import cell_len
from textual import events
from textual.geometry import Offset
from textual.notifications import Notification
from textual.pilot import Pilot
from textual.widgets import Input

from chat.client.config.settings import ClientSettings
from chat.client.presenter.conversation import Conversation
from chat.client.tui.app import ChatApp
from chat.client.tui.composer.widget import Composer
from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.screens.main import MainScreen
from tests.client.presenter.fakes import FakeCore, info, said
from tests.client.tui.pictures.picture import picture, strips
from tests.serving import PATIENCE


def mouse(kind: type[events.MouseEvent], at: Offset) -> events.MouseEvent:
    """Return a mouse event at a position of the screen."""
    return kind(None, *at, 0, 0, 0, False, False, False, *at)


class PatientApp(ChatApp):
    """The client with notifications that last longer than a test, however slow the machine."""

    NOTIFICATION_TIMEOUT = 2 * PATIENCE
    NOTICE_PAUSE = 0.0


class Screens:
    """The running app, with actions and queries for tests."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def main(self) -> MainScreen:
        return cast("MainScreen", self.app.screen_stack[0])

    @property
    def conversation(self) -> Conversation:
        return self.main.conversation

    @property
    def composer(self) -> Composer:
        return self.main.query_one(Composer)

    @property
    def notices(self) -> list[str]:
        """The texts of the notifications so far."""
        return [each.message for each in self.notifications]

    @property
    def notifications(self) -> list[Notification]:
        """The notifications so far."""
        return [*self.app._notifications]  # noqa: SLF001 - Textual offers no other way to read them

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Let the app work until `condition` holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"still not so: {what}\n{self.screen()}"
            await self.pilot.pause(0.01)

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until the app has handled them."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def answer(self, *keys: str) -> None:
        """Answer a question, as soon as it accepts keys."""

        def is_asked() -> bool:
            return isinstance(self.app.screen, Confirm) and self.app.screen.is_ready

        await self.until(is_asked, "a dialog opens")
        await self.press(*keys)

    async def click_on(self, text: str) -> None:
        """Click on the first occurrence of `text` on the screen."""
        await self.until(lambda: text in self.screen(), f"{text} shows")
        rows = self.screen().splitlines()
        y = next(at for at, row in enumerate(rows) if text in row)
        await self.pilot.click(offset=(cell_len(rows[y][: rows[y].index(text)]), y))
        await self.pilot.pause()

    async def rest(self) -> None:
        """Wait until the screen stops changing; stop blinking cursors."""
        for field in self.app.screen.query(Input):
            field.cursor_blink = False
        before, same = "", 0
        while same < 3:
            await self.pilot.pause(0.1)
            now = picture(self.app)
            before, same = now, same + 1 if now == before else 0

    async def type(self, text: str, *keys: str) -> None:
        """Insert text into the composer at the cursor, then press keys."""
        self.composer.insert(text)
        await self.press(*keys)

    def screen(self) -> str:
        """Return the text of the topmost screen as a terminal would show it."""
        return "\n".join(strip.text for strip in strips(self.app))


class Desktop(Screens):
    """The screens with fake cores, one for each address."""

    def __init__(self, app: ChatApp, pilot: Pilot[None], cores: dict[str, FakeCore]) -> None:
        super().__init__(app, pilot)
        self.cores = cores

    @property
    def core(self) -> FakeCore:
        """The core of the first server."""
        return next(iter(self.cores.values()))


Open = Callable[..., AbstractAsyncContextManager[Desktop]]


@pytest.fixture
def open_desktop() -> Open:
    """Return a factory: `async with open_desktop(channels, size=…) as desktop`."""

    @asynccontextmanager
    async def open_one(
        *channels: Any,
        size: tuple[int, int] = (80, 24),
        keymap: dict[str, str] | None = None,
        settings: ClientSettings | None = None,
    ) -> AsyncIterator[Desktop]:
        cores: dict[str, FakeCore] = {}

        def make_core(each: ClientSettings, wake: Callable[[], None]) -> FakeCore:
            return cores.setdefault(each.url, FakeCore(each, wake))

        app = PatientApp(settings or ClientSettings(name="me"), make_core=make_core, keymap=keymap)
        async with app.run_test(size=size, notifications=True) as pilot:
            desktop = Desktop(app, pilot, cores)
            if channels:
                desktop.core.go_online(*channels)
                await desktop.until(lambda: desktop.conversation.state.current, "a channel is open")
            await pilot.pause()
            yield desktop

    return open_one


@pytest.fixture
async def desktop(open_desktop: Open) -> AsyncIterator[Desktop]:
    """Return a client that shows `#general`, with six messages, and lists two more channels."""
    channels = (info("#general", head=6), info("#tea", head=2), info("@alice,me", head=1))
    async with open_desktop(*channels) as desktop:
        words = ("good morning", "hello", "tea?", "yes", "no", "mine")
        authors = ("alice", "bob", "alice", "bob", "carol", "me")
        page = tuple(
            said(seq, author, text)
            for seq, (author, text) in enumerate(zip(authors, words, strict=True), 1)
        )
        desktop.core.pages["#general"] = page
        desktop.core.open_channel("#general")
        await desktop.until(lambda: "mine" in desktop.screen(), "the messages are shown")
        yield desktop


def at_once(desktop: Desktop, *pieces: str) -> None:
    """Press keys and type texts, without waiting in between."""
    for piece in pieces:
        if "+" in piece or piece in ("enter", "escape", "up"):
            desktop.app.post_message(events.Key(piece, None))
        else:
            for letter in piece:
                desktop.app.post_message(events.Key(letter, letter))
