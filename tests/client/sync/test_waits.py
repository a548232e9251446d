"""Every wait of a channel or of an unsent message ends: by an answer, a timer, or a reconnect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chat.protocol.commands import Command, Send
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen

Open = Callable[..., Screen]


def test_a_message_stored_before_the_shown_page_is_not_shown_as_unsent(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screen = open_client(fake.url)
    screen.open()

    def store_and_stop(command: Command) -> Wire | None:
        if isinstance(command, Send):
            fake.intercept = lambda _: fake.SILENCE
            fake.store("alice", command)
            return fake.SILENCE
        return None

    fake.intercept = store_and_stop
    fake.sends_events = False
    screen.core.send("#general", "stored")
    screen.wait(lambda: fake.logs["#general"].head == 1)
    screen.stop()
    fake.intercept = lambda _: None
    for number in range(150):
        fake.say("bob", f"later {number}")
    for file in tmp_path.rglob("cache.db*"):
        file.unlink()
    screen = open_client(fake.url)
    screen.core.open_channel("#general")
    screen.wait(lambda: "later 149" in screen.texts())
    screen.wait(lambda: not screen.pending(), "sent")
    assert "stored" not in screen.texts()  # it is above the loaded page
    assert fake.logs["#general"].head == 151
