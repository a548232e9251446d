"""A composer alone, and what it told."""

from __future__ import annotations

from textual.app import App, ComposeResult

from chat.client.tui.composer.widget import Composer


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

    def on_composer_submitted(self, event: Composer.Submitted) -> None:
        self.seen.append(("sent", event.text, event.subject.key.channel))

    def on_composer_typing(self, event: Composer.Typing) -> None:
        self.seen.append(("typing", event.active))

    def on_composer_drafted(self) -> None:
        self.seen.append(("draft", self.composer.text))

    def on_composer_dismissed(self) -> None:
        self.seen.append(("dismissed",))

    def of(self, kind: str) -> list[object]:
        return [each for each in self.seen if isinstance(each, tuple) and each[0] == kind]
