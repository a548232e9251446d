"""An app with only a composer, and a record of its messages."""

from __future__ import annotations

from typing import cast

from textual.app import App, ComposeResult

from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.navigation import PaneKey
from chat.client.tui.composer.messages import Subject
from chat.client.tui.composer.widget import Composer


class Recorder:
    """Drafts that record what the composer passes to them."""

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
    """An app with only a composer, with a clock that the test sets."""

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
        """Load an empty text for another channel into the composer."""
        self.composer.load("", Subject(cast("Drafts", Recorder(self)), PaneKey(channel)))

    def on_composer_dismissed(self) -> None:
        self.seen.append(("dismissed",))

    def of(self, kind: str) -> list[object]:
        return [each for each in self.seen if isinstance(each, tuple) and each[0] == kind]
