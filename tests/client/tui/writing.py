"""A composer alone, and what it told."""

from __future__ import annotations

from typing import cast

from textual.app import App, ComposeResult

from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.navigation import PaneKey
from chat.client.tui.composer.messages import Subject
from chat.client.tui.composer.widget import Composer


class Recorder:
    """Drafts that note what the composer tells them."""

    def __init__(self, app: Harness) -> None:
        self._app = app

    def submit(self, text: str, key: PaneKey) -> None:
        self._app.seen.append(("sent", text, key.channel))

    def typing(self, active: bool, key: PaneKey) -> None:
        self._app.seen.append(("typing", active))

    def holds_code(self, text: str) -> bool:
        return False

    def keep_open(self) -> None:
        self._app.seen.append(("draft", self._app.composer.text))

    def edit_last(self, key: PaneKey) -> None:
        self._app.seen.append(("edit", key.channel))


class Harness(App[None]):
    """A composer alone, with a clock that a test turns."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.seen: list[object] = []

    def compose(self) -> ComposeResult:
        yield Composer(clock=lambda: self.now)

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    def on_mount(self) -> None:
        self.write_in("")

    def write_in(self, channel: str) -> None:
        """Empty the composer, for the text of another channel."""
        self.composer.load("", Subject(cast("Drafts", Recorder(self)), PaneKey(channel)))

    def on_composer_dismissed(self) -> None:
        self.seen.append(("dismissed",))

    def of(self, kind: str) -> list[object]:
        return [each for each in self.seen if isinstance(each, tuple) and each[0] == kind]
