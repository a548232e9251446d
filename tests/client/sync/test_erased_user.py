"""An erased user: cached lines and members are read again, so the old name is nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chat.protocol.commands import History
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen

Open = Callable[..., Screen]


def erase(fake: FakeServer, name: str) -> None:
    """Erase the texts and the name of a user, and add the event."""
    log = fake.logs["#general"]
    fake.members["#general"].discard(name)
    for place, event in enumerate(log.events):
        if event.author == name:
            changes = {"author": "deleted-17", "text": None, "erased": True}
            log.events[place] = event.model_copy(update=changes)
    fake.append("deleted-17", "#general", "erased_user")


def assert_forgotten(screen: Screen) -> None:
    screen.wait(lambda: "mallory" not in [line.author for line in screen.lines()])
    screen.wait_texts("", "hello")
    screen.wait(lambda: "mallory" not in [row[0] for row in screen.members["#general"].members])


@pytest.mark.parametrize("is_offline", [False, True], ids=["live", "while away"])
def test_nothing_of_an_erased_person_is_left(
    open_client: Open, fake: FakeServer, tmp_path: Path, is_offline: bool
) -> None:
    fake.members["#general"] |= {"mallory", "bob"}
    fake.say("mallory", "the words of mallory")
    fake.say("bob", "hello")
    screen = open_client(fake.url)
    screen.open()
    screen.wait_texts("the words of mallory", "hello")
    if is_offline:
        screen.stop()
        erase(fake, "mallory")
        screen = open_client(fake.url)
        screen.open()
    else:
        erase(fake, "mallory")
    assert_forgotten(screen)
    fake.say("bob", "next")
    screen.wait_texts("", "hello", "next")
    screen.stop()
    assert not [command for command in fake.commands if isinstance(command, History)]
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait(lambda: len(again.lines()) >= 2)
    assert "mallory" not in {line.author for line in again.lines()}
